"""What a file is, is told from its bytes; what is damaged is never a shorter list."""

import bz2
import gzip
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from garrison.dependencies.advisories.contents import Advisories, Ranks, contents
from garrison.dependencies.advisories.osv import BrokenEntry
from garrison.dependencies.advisories.reading import Entry, SourceError, entries_of_directory
from tests.dependencies.advisories.samples import document, export

DOCUMENTS = [document("PYSEC-2024-1"), document("PYSEC-2024-2", "other")]
IDS = ["PYSEC-2024-1", "PYSEC-2024-2"]
EPSS = b"#model_version:v2025.03.14,score_date:2026-07-20T12:55:00Z\ncve,epss,percentile\nCVE-2024-1000,0.25,0.9\n"
KEV = json.dumps(
    {
        "title": "CISA Catalog of Known Exploited Vulnerabilities",
        "catalogVersion": "2026.07.20",
        "dateReleased": "2026-07-20T14:00:00.1234Z",
        "count": 1,
        "vulnerabilities": [{"cveID": "CVE-2024-1000", "dateAdded": "2024-02-01"}],
    }
).encode()


def tar(*members: tuple[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def lines() -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in DOCUMENTS) + b"\n"


def tarred() -> bytes:
    long = "x" * 150
    members = [(f"osv/{long}/{one['id']}.json", json.dumps(one).encode()) for one in DOCUMENTS]
    return tar(("osv/README.md", b"not an advisory"), *members)


def held(data: bytes, path: Path) -> Advisories | Ranks | list[Entry]:
    """What the bytes are, all of it read."""
    path.write_bytes(data)
    with path.open("rb") as file:
        found = contents(file)
        return list(found.entries) if isinstance(found, Advisories) else found


def ids(data: bytes, path: Path) -> list[str]:
    found = held(data, path)
    assert isinstance(found, list)
    return [entry.advisory()[0].id for entry in found]


@pytest.mark.parametrize(
    "data",
    [
        lines(),
        json.dumps(DOCUMENTS).encode(),
        json.dumps({"vulns": DOCUMENTS}, indent=1).encode(),
        b"\xef\xbb\xbf" + lines(),
        tarred(),
    ],
    ids=["lines", "list", "answer", "lines with a mark", "tar"],
)
def test_every_layout_in_every_wrapping(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "named-anything"
    wrapped = [data, gzip.compress(data), zstandard.compress(data), gzip.compress(zstandard.compress(data))]
    wrapped.append(gzip.compress(data[:500]) + gzip.compress(data[500:]))
    wrapped.append(zstandard.compress(data[:500]) + zstandard.compress(data[500:]))
    for one in wrapped:
        assert ids(one, path) == IDS


def test_a_zip_and_single_documents(tmp_path: Path) -> None:
    archive = Path(export(tmp_path / "all.zip", *DOCUMENTS)).read_bytes()
    assert ids(archive, tmp_path / "x") == IDS
    assert ids(json.dumps(DOCUMENTS[0], indent=2).encode(), tmp_path / "x") == IDS[:1]
    assert ids(json.dumps(DOCUMENTS[0]).encode(), tmp_path / "x") == IDS[:1]
    assert ids(b"# a comment\nid: PYSEC-2024-1\nmodified: 2024-01-01T00:00:00Z\n", tmp_path / "x") == IDS[:1]
    assert ids(gzip.compress(b"summary: first\nid: PYSEC-2024-1\nmodified: 2024-01-01\n"), tmp_path / "x") == IDS[:1]


def test_ranks(tmp_path: Path) -> None:
    for data in (EPSS, gzip.compress(EPSS), bz2.compress(EPSS)):
        found = held(data, tmp_path / "x")
        assert isinstance(found, Ranks) and found.kind == "epss"
        assert found.scores == {20240000001000: 0.25} and str(found.date) == "2026-07-20 12:55:00+00:00"
    found = held(KEV, tmp_path / "x")
    assert isinstance(found, Ranks) and found.kind == "kev" and list(found.scores) == [20240000001000]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"hello", "no export"),
        (bz2.compress(b"hello"), "no export"),
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"PK\x03\x04" + bytes(100), "not a zip"),
        (EPSS.replace(b"0.25", b"25"), "not an EPSS score"),
        (EPSS.replace(b"CVE-2024-1000", b"CVE-x"), "not an EPSS score"),
        (EPSS.replace(b"score_date:2026", b"date:2026"), "which day"),
        (EPSS.replace(b"score_date:2026-07-20T12:55:00Z", b"score_date:2026-99-20T12:55:00Z"), "no date"),
        (EPSS.rpartition(b"CVE")[0], "no EPSS scores"),
        (KEV.replace(b'"count": 1', b'"count": 2'), "not complete"),
        (KEV.replace(b"CVE-2024", b"CVE-x"), "not complete"),
        (KEV.replace(b'"cveID"', b'"cve"'), "cveID"),
    ],
)
def test_what_is_refused(data: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=said):
        held(data, tmp_path / "x")


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("data", [lines(), tarred(), EPSS, KEV])
def test_a_compressed_stream_that_breaks_off_is_an_error(compress: Any, data: bytes, tmp_path: Path) -> None:
    whole = compress(data)
    for length in range(1, len(whole), max(1, len(whole) // 25)):
        with pytest.raises(SourceError):
            held(whole[:length], tmp_path / "x")


def test_a_truncated_tar_is_an_error(tmp_path: Path) -> None:
    whole = tarred()
    end = whole.rindex(b"}") + 1
    for length in range(1, end, 97):
        with pytest.raises(SourceError):
            held(whole[:length], tmp_path / "x")


def member(data: bytes, **changes: int) -> bytes:
    """A zip of one advisory whose headers say otherwise."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("PYSEC-2024-1.json", data)
    whole = bytearray(file.getvalue())
    central = whole.rindex(b"PK\x01\x02")
    places = {"flags": (8, "<H"), "method": (10, "<H"), "crc": (16, "<L"), "packed": (20, "<L"), "size": (24, "<L")}
    for name, value in changes.items():
        struct.pack_into(places[name][1], whole, central + places[name][0], value)
    return bytes(whole)


@pytest.mark.parametrize(
    "changes",
    [{"crc": 1}, {"size": 5}, {"size": 60 << 20}, {"packed": 3}, {"method": 99}, {"flags": 1}, {"size": 65 << 20}],
)
def test_members_that_lie_are_broken(changes: dict[str, int], tmp_path: Path) -> None:
    found = held(member(json.dumps(DOCUMENTS[0]).encode(), **changes), tmp_path / "x")
    assert isinstance(found, list)
    with pytest.raises(BrokenEntry):
        found[0].head()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", bytes(8 << 20))
    data = path.read_bytes()
    central = data.rindex(b"PK\x01\x02")
    entry = data[central : data.rindex(b"PK\x05\x06")]
    count = 2000
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, count, count, len(entry) * count, central, 0)
    with pytest.raises(SourceError, match="overlap"):
        held(data[:central] + entry * count + end, tmp_path / "x")
    big = bytearray(entry)
    struct.pack_into("<LL", big, 20, 1, 0xFFFFFFF0)
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 5, 5, len(big) * 5, central, 0)
    with pytest.raises(SourceError, match="too much"):
        held(data[:central] + bytes(big) * 5 + end, tmp_path / "x")


def test_a_compressed_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import msgspec

    from garrison.dependencies.advisories import contents as module

    monkeypatch.setattr(module, "_LIMITS", msgspec.structs.replace(module._LIMITS, ratio_floor=1 << 20, ratio=100))
    with pytest.raises(SourceError, match="100 times"):
        held(gzip.compress(b"{}\n" * (4 << 20)), tmp_path / "x")


def test_a_directory_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "vulns" / "example").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.json").write_text("not looked at")
    (tmp_path / "vulns" / "example" / "PYSEC-2024-1.yaml").write_text("id: PYSEC-2024-1\nmodified: 2024-01-01\n")
    (tmp_path / "other.JSON").write_text(json.dumps(DOCUMENTS[1]))
    (tmp_path / "README.md").write_text("not an advisory")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.json").symlink_to("/etc/passwd")
    found = list(entries_of_directory(str(tmp_path)))
    assert sorted(entry.advisory()[0].id for entry in found) == IDS
    assert sorted(entry.stem for entry in found) == ["PYSEC-2024-1", "other"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_never_raise_anything_else(data: st.DataObject, tmp_path: Path) -> None:
    archive = Path(export(tmp_path / "all.zip", *DOCUMENTS)).read_bytes()
    whole = bytearray(
        data.draw(st.sampled_from([archive, gzip.compress(lines()), tarred(), zstandard.compress(KEV), EPSS]))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = held(bytes(whole), tmp_path / "x")
        for entry in found if isinstance(found, list) else ():
            entry.advisory()
    except (SourceError, BrokenEntry):
        pass
