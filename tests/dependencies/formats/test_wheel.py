"""Wheels held against their record."""

import base64
import hashlib
import io
import zipfile

from hypothesis import given, settings

from garrison.core.facts import Artifact
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

METADATA = b"Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n\n"
FILES = {
    "tool/__init__.py": b"answer = 42\n",
    "tool/weights.txt": b"1 2 3\n" * 100,
    "tool-1.0.dist-info/METADATA": METADATA,
    "tool-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\n",
}
RECORD = "tool-1.0.dist-info/RECORD"
NAME = "tool-1.0-py3-none-any.whl"


def record(files: dict[str, bytes]) -> bytes:
    lines = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}")
    return "\r\n".join([*lines, f"{RECORD},,", ""]).encode()


def packed(files: dict[str, bytes], listed: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, RECORD: listed}.items():
            archive.writestr(name, content)
    return data.getvalue()


def mismatches(data: bytes) -> list[str]:
    return [item.message for item in findings_of(data, NAME) if item.rule == "wheel-record-mismatch"]


def test_an_honest_wheel_is_compared_whole_and_no_finding() -> None:
    data = packed(FILES, record(FILES))
    (fact,) = (fact for fact in facts_of(data, NAME) if type(fact) is Artifact and fact.format == "wheel")
    assert fact.details == {"files": 5, "compared": 4}
    assert findings_of(data, NAME) == []


def test_a_file_that_was_put_in_is_named() -> None:
    (message,) = mismatches(packed({**FILES, "tool.pth": b"import tool\n"}, record(FILES)))
    assert "does not list" in message and "'tool.pth'" in message


def test_a_file_that_was_changed_is_named() -> None:
    (message,) = mismatches(packed({**FILES, "tool/__init__.py": b"answer = 43\n"}, record(FILES)))
    assert "'tool/__init__.py'" in message and "bytes" in message


def test_a_file_that_is_not_there_is_named() -> None:
    (message,) = mismatches(packed(FILES, record({**FILES, "tool/gone.py": b""})))
    assert "'tool/gone.py'" in message


def test_signatures_and_files_without_a_digest_are_no_mismatch() -> None:
    files = {**FILES, "tool-1.0.dist-info/RECORD.jws": b"{}"}
    plain = record(FILES).replace(b"tool/weights.txt,sha256=", b"tool/weights.txt,").split(b"tool/weights.txt,")
    listed = plain[0] + b"tool/weights.txt,," + plain[1][plain[1].index(b"\r\n") :]
    assert mismatches(packed(files, listed)) == []


def test_other_zips_with_a_record_are_no_wheels() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("music/RECORD", b"x,y,z\n")
    assert "wheel" not in examine_bytes(data.getvalue(), "a.zip")[-1].formats


@settings(max_examples=40, deadline=None)
@given(data=damaged(packed(FILES, record(FILES))))
def test_damage_never_breaks_the_reader(data: bytes) -> None:
    assert_no_failure(data, NAME)


def test_a_record_whose_bytes_are_damaged_is_told() -> None:
    data = packed(FILES, record(FILES))
    start = data.index(b"PK\x03\x04", data.index(b"METADATA"))
    found = examine_bytes(data[:start] + b"\0" + data[start + 1 :], NAME)[-1]
    assert found.state == "partial", found.reason


def test_a_member_with_bad_lzma_properties_breaks_alone() -> None:
    data = bytearray(packed(FILES, record(FILES)))
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 10] = 14
    assert_no_failure(bytes(data), NAME)
    assert len(examine_bytes(bytes(data), NAME)) > 3
