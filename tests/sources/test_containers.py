"""Whatever honest tools write is read back in silence; what loaders disagree on is said."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Anomaly
from garrison.core.limits import Limits
from garrison.sources.examination import examine
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Source
from tests.support import examine_bytes, facts_of, findings_of

NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=12)
FILES = st.dictionaries(NAMES, st.binary(max_size=300), max_size=5)


def contents(data: bytes, limits: Limits | None = None) -> dict[str, bytes]:
    """What the sources inside hold, by name, as the extractors hand them on."""
    from garrison.core.registry import load
    from garrison.sources.identification import identify

    context = Context(limits or Limits(), len(data))
    source = Source("subject", BytesReader(data))
    found = {}
    for entry in identify(source):
        if entry.container:
            for item in load(entry.extractor)(source, context):
                if isinstance(item, Source):
                    found[item.subject.partition("!/")[2]] = b"".join(item.reader.chunks())
    return found


def anomalies(data: bytes) -> set[str]:
    return {fact.what for fact in facts_of(data) if isinstance(fact, Anomaly)}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def streamed_zip(files: dict[str, bytes]) -> bytes:
    """As a writer that cannot seek writes it, with data descriptors."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return bytes(pipe.data)


def tarred(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=str
)
@given(files=FILES)
@settings(max_examples=25, deadline=None)
def test_zip_round_trip(method: int, files: dict[str, bytes]) -> None:
    data = zipped(files, method)
    assert contents(data) == files
    assert not anomalies(data) & {"archive-header-mismatch", "hidden-member", "overlapping-members", "trailing-data"}


@given(files=FILES)
@settings(max_examples=25, deadline=None)
def test_streamed_zip_round_trip(files: dict[str, bytes]) -> None:
    data = streamed_zip(files)
    assert contents(data) == files
    assert not anomalies(data) & {"archive-header-mismatch", "hidden-member", "overlapping-members", "trailing-data"}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_round_trip(form: int) -> None:
    files = {"a": b"one", "b/" + "n" * 90: b"x" * 1000, "ümlaut": b""}
    assert contents(tarred(files, form)) == files
    long = {"d/" * 60 + "file": b"deep"}
    if form != tarfile.USTAR_FORMAT:
        assert contents(tarred(long, form)) == long


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
    "zlib": zlib.compress,
}


@pytest.mark.parametrize("form", PACKERS)
@given(data=st.binary(min_size=8, max_size=2000))
@settings(max_examples=25, deadline=None)
def test_streams_round_trip(form: str, data: bytes) -> None:
    packed = PACKERS[form](data)
    assert contents(packed) == {"(contents)": data}
    if form in ("gzip", "bzip2", "xz"):
        assert contents(packed + PACKERS[form](b"second")) == {"(contents)": data + b"second"}


@pytest.mark.parametrize("form", PACKERS)
def test_a_truncated_stream_still_shows_what_it_holds(form: str) -> None:
    data = bytes(range(256)) * 2000
    packed = PACKERS[form](data)
    examinations = examine_bytes(packed[:-9])
    assert examinations[-1].state == "partial" or form in ("zstd", "lz4")
    assert len(examinations) == 2


@pytest.mark.parametrize("form", ["zip", "tar", *PACKERS])
def test_truncation_anywhere_never_raises(form: str) -> None:
    files = {"a": b"one" * 20, "b": bytes(range(200))}
    packed = zipped(files) if form == "zip" else tarred(files) if form == "tar" else PACKERS[form](files["b"])
    for length in range(0, len(packed), max(1, len(packed) // 150)):
        states = {examination.state for examination in examine_bytes(packed[:length])}
        assert "failed" not in states


def test_the_directory_and_the_local_header_disagree() -> None:
    data = bytearray(zipped({"model.pkl": b"contents"}, zipfile.ZIP_STORED))
    renamed = bytes(data).replace(b"model.pkl", b"other.txt", 1)
    assert "archive-header-mismatch" in anomalies(renamed)
    encrypted = bytearray(data)
    encrypted[6] |= 1
    assert "archive-header-mismatch" in anomalies(bytes(encrypted))
    assert contents(bytes(encrypted)) == {"model.pkl": b"contents"}


def test_a_tampered_checksum_hides_nothing() -> None:
    data = bytearray(zipped({"model.bin": b"contents"}, zipfile.ZIP_STORED))
    central = data.rfind(b"PK\x01\x02")
    data[central + 16] ^= 0xFF
    assert contents(bytes(data)) == {"model.bin": b"contents"}


def test_duplicates_are_both_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, pytest.warns(UserWarning):
        archive.writestr("model.pkl", b"first")
        archive.writestr("model.pkl", b"second")
    found = [fact for fact in facts_of(buffer.getvalue()) if isinstance(fact, Anomaly)]
    assert "duplicate-member" in {fact.what for fact in found}
    assert sum(e.subject == "subject!/model.pkl" for e in examine_bytes(buffer.getvalue())) == 2


def test_a_member_that_the_directory_does_not_list() -> None:
    with_both = zipped({"hidden": b"secret", "shown": b"plain"}, zipfile.ZIP_STORED)
    central = with_both.find(b"PK\x01\x02")
    second = with_both.find(b"PK\x01\x02", central + 4)
    end = with_both.rfind(b"PK\x05\x06")
    directory = with_both[second:end]
    record = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), central, 0)
    data = with_both[:central] + directory + record
    assert "hidden-member" in anomalies(data)
    assert any(e.subject == "subject!/hidden" for e in examine_bytes(data))


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", "a/../../up", "..\\up", "C:\\Windows\\x", "\\\\host\\share", "a/b/../../../c"]
)
def test_names_that_leave(name: str) -> None:
    assert any(f.rule == "path-traversal" and f.severity == "high" for f in findings_of(zipped({name: b"x"})))
    assert any(f.rule == "path-traversal" for f in findings_of(tarred({name: b"x"})))


@pytest.mark.parametrize("name", ["a/../b", "..hidden", "dots...", "a/b/c", "./x"])
def test_names_that_stay(name: str) -> None:
    assert findings_of(zipped({name: b"hello there"})) == []


@pytest.mark.parametrize(
    ("kind", "target", "leaves"),
    [
        (tarfile.SYMTYPE, "/etc/passwd", True),
        (tarfile.SYMTYPE, "../../x", True),
        (tarfile.SYMTYPE, "../x", False),
        (tarfile.SYMTYPE, "sibling", False),
        (tarfile.LNKTYPE, "../x", True),
        (tarfile.LNKTYPE, "folder/other", False),
    ],
)
def test_links_in_tar(kind: bytes, target: str, leaves: bool) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("folder/link")
        info.type, info.linkname = kind, target
        archive.addfile(info)
    assert ("escaping-link" in anomalies(buffer.getvalue())) is leaves


def test_links_in_zip() -> None:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert "escaping-link" in anomalies(buffer.getvalue())


def test_polyglots_are_both() -> None:
    png = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
    examinations = examine_bytes(png + zipped({"inner": b"hello"}))
    assert set(examinations[-1].formats) == {"png", "zip"}
    assert any(e.subject == "subject!/inner" for e in examinations)


def test_a_bomb_ends_at_the_limits() -> None:
    data = zlib.compress(bytes(200 << 20), 9)
    limits = Limits(unpacked=32 << 20, buffer=1 << 20)
    (inner, outer) = examine(Source("bomb", BytesReader(data)), Context(limits, len(data)))
    assert any(isinstance(f, Anomaly) and f.what == "decompression-bomb" for f in outer.facts + inner.facts)


def test_nesting_ends_at_the_limits() -> None:
    data = b"core"
    for _ in range(40):
        data = gzip.compress(data)
    assert any(e.state == "partial" and "deep" in e.reason for e in examine_bytes(data))
    assert "resource-limit" in anomalies(data)


def test_overlapping_members() -> None:
    data = zipped({"a": b"x" * 1000, "b": b"y" * 1000}, zipfile.ZIP_STORED)
    central = data.find(b"PK\x01\x02")
    first = bytearray(data)
    struct.pack_into("<LL", first, central + 20, 1500, 1500)
    assert "overlapping-members" in anomalies(bytes(first))


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_noise_after_a_magic_never_fails(noise: bytes) -> None:
    for magic in (
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"7z\xbc\xaf\x27\x1c\0\4",
        b"\x1f\x8b\x08",
        b"BZh9",
        b"\xfd7zXZ\0",
        b"\x28\xb5\x2f\xfd",
    ):
        assert all(e.state != "failed" for e in examine_bytes(magic + noise))


def test_a_packed_archive_is_unpacked_a_few_times_however_many_members_it_has() -> None:
    """Beyond the cache a jump back unpacks anew: sniffers that look at heads and tails by turns must not."""
    files = {f"{number}.npy": b"\x93NUMPY\x01\x00v\x00" + bytes([number]) * 150_000 for number in range(12)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    limits = Limits(buffer=1 << 17)
    context = Context(limits, 1 << 20)
    found = list(examine(Source("a.npz.xz", BytesReader(lzma.compress(out.getvalue()))), context))
    assert {e.subject.rpartition("!/")[2] for e in found if e.formats} >= set(files)


CALL = b"cos\nsystem\n(S'id'\ntR."


@pytest.mark.parametrize("form", ["zip", "tar", "ar"])
def test_more_members_than_the_limit_are_no_full_examination(form: str) -> None:
    files = {f"{number}.txt": b"x" for number in range(6)}
    if form == "ar":
        data = b"!<arch>\n" + b"".join(name.ljust(48).encode() + b"1".ljust(10) + b"`\nx\n" for name in files)
    else:
        data = zipped(files) if form == "zip" else tarred(files)
    assert examine_bytes(data, limits=Limits(members=20))[-1].state == "examined"
    examination = examine_bytes(data, limits=Limits(members=4))[-1]
    assert (
        examination.state,
        "resource-limit" in {fact.what for fact in examination.facts if isinstance(fact, Anomaly)},
    ) == (
        "partial",
        True,
    )


def test_what_stands_behind_a_7z_is_examined() -> None:
    empty = b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(bytes(20))) + bytes(20)
    assert findings_of(empty) == []
    assert "trailing-data" in anomalies(empty + CALL)
    assert "dangerous-import" in {item.rule for item in findings_of(empty + CALL)}


def test_what_stands_far_behind_a_tar_is_examined() -> None:
    data = tarred({"a": b"x"}) + bytes(3 << 20)
    assert findings_of(data) == []
    assert "dangerous-import" in {item.rule for item in findings_of(data + CALL)}
    assert examine_bytes(data, limits=Limits(buffer=1 << 20))[-1].state == "partial"
