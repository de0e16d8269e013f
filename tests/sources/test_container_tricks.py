"""Archives that show each loader something else, and the rarer things that honest compressors write."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable

import lz4.block
import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.errors import Malformed
from garrison.sources.reader import BytesReader
from tests.sources.test_containers import anomalies, contents, tarred, zipped
from tests.support import examine_bytes, findings_of, worst

EVIL = b"cposix\nsystem\n(S'id'\ntR."


def tar_header(name: bytes, size: int, kind: bytes = b"0", *, field: bytes = b"", tail: bytes = b"") -> bytes:
    """One header, with its checksum."""
    size_field = field or b"%011o\0" % size
    head = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size_field + b"00000000000\0" + b" " * 8 + kind
    head = (head.ljust(257, b"\0") + b"ustar  \0").ljust(482, b"\0") + tail
    head = head.ljust(512, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def blocks(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def test_members_that_tarfile_finds_behind_a_folder_with_a_size() -> None:
    data = tar_header(b"d/", 1024, b"5") + tar_header(b"evil.pkl", len(EVIL)) + blocks(EVIL) + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == ["d", "evil.pkl"]
    assert contents(data) == {"evil.pkl": EVIL}
    assert worst(findings_of(data)) == "critical"


@pytest.mark.parametrize("form", [b"+%o\0", b"0o%o\0", b"0_%o "])
def test_numbers_that_tarfile_takes(form: bytes) -> None:
    field = (form % len(EVIL)).ljust(12, b"\0")
    data = tar_header(b"evil.pkl", 0, field=field) + blocks(EVIL) + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getmembers()[0].size == len(EVIL)
    assert contents(data) == {"evil.pkl": EVIL}


def test_a_sparse_file_whose_map_goes_on() -> None:
    """The extension block is part of the map and not of the contents."""
    extension = struct.pack("504s", b"") + b"\0" * 8
    data = tar_header(b"s.pkl", len(EVIL), b"S", tail=b"\1" + b"00000000031\0") + extension + blocks(EVIL) + bytes(1024)
    assert contents(data)["s.pkl"] == EVIL


def test_a_global_header_holds_for_all_that_follow() -> None:
    def pax(kind: bytes, text: bytes) -> bytes:
        return tar_header(b"pax", len(text), kind) + blocks(text)

    one, two = (tar_header(name, 3) + blocks(b"abc") for name in (b"one", b"two"))
    data = pax(b"g", b"18 comment=nothing\n"[:18]) + pax(b"x", b"12 path=new\n") + one + two + bytes(1024)
    assert contents(data) == {"new": b"abc", "two": b"abc"}


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lz4": lz4.frame.compress,
}


@pytest.mark.parametrize("form", COMPRESSORS)
def test_streams_behind_each_other_are_one(form: str) -> None:
    compress = COMPRESSORS[form]
    assert contents(compress(b"first ") + compress(b"second"))["(contents)"] == b"first second"


@pytest.mark.parametrize("padding", [4, 60, 64, 68, 128, 70_000])
def test_xz_streams_with_any_padding(padding: int) -> None:
    data = lzma.compress(b"first ") + bytes(padding) + lzma.compress(b"second")
    assert contents(data) == {"(contents)": b"first second"}


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz"])
def test_what_follows_a_stream_is_stated_and_read(form: str) -> None:
    data = COMPRESSORS[form](b"honest text") + b"\x80\x02" + EVIL
    assert "trailing-data" in anomalies(data)
    assert worst(findings_of(data)) == "critical"
    assert "trailing-data" not in anomalies(COMPRESSORS[form](b"honest text") + bytes(100))


def test_zstd_behind_skippable_frames() -> None:
    skipped = b"\x50\x2a\x4d\x18" + struct.pack("<L", 4) + b"abcd"
    data = skipped + skipped + COMPRESSORS["zstd"](EVIL)
    assert contents(data) == {"(contents)": EVIL}
    assert worst(findings_of(data)) == "critical"
    assert examine_bytes(skipped)[-1].formats != ["zstd-skippable"]


def test_legacy_lz4() -> None:
    text = [b"first block " * 900, EVIL]
    packed = [lz4.block.compress(part, store_size=False) for part in text]
    data = b"\x02\x21\x4c\x18" + b"".join(struct.pack("<L", len(part)) + part for part in packed)
    assert contents(data) == {"(contents)": b"".join(text)}
    for length in range(0, len(data), 7):
        assert all(examination.state != "failed" for examination in examine_bytes(data[:length]))


def test_an_archive_in_front_of_an_archive() -> None:
    """Python takes the last; a streaming reader and some others the first."""
    found = findings_of(zipped({"m.pkl": EVIL}) + zipped({"readme.txt": b"honest"}))
    assert worst(found) == "critical"


def test_two_central_directories() -> None:
    """zipfile takes the directory that ends at the end record, miniz the one that the record names."""
    evil, honest = (
        zipped({"data.pkl": EVIL}, zipfile.ZIP_STORED),
        zipped({"data.pkl": b"\x80\x02N."}, zipfile.ZIP_STORED),
    )
    end = evil.rfind(b"PK\x05\x06")
    place, length = evil.find(b"PK\x01\x02"), end - evil.find(b"PK\x01\x02")
    start = honest.find(b"PK\x01\x02")
    body = honest[:start]
    data = evil[:end] + body
    directory = bytearray(honest[start : honest.rfind(b"PK\x05\x06")])
    record = honest[honest.rfind(b"PK\x05\x06") :]
    both = data + directory + record[:12] + struct.pack("<LLH", length, place, 0)
    found = findings_of(bytes(both))
    assert "archive-header-mismatch" in {item.rule for item in found}
    assert worst(found) == "critical"


def test_pickles_in_another_case() -> None:
    """PyTorch's reader finds `DATA.PKL` where it is asked for `data.pkl`."""
    both = zipped({"a/data.pkl": b"\x80\x02N.", "a/DATA.PKL": EVIL})
    assert "duplicate-member" in anomalies(both)
    assert worst(findings_of(both)) == "critical"
    assert anomalies(zipped({"README": b"a", "readme": b"b"})) == {"duplicate-member-same"}


def test_a_packed_link_that_leaves() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr, link.compress_type = 19, 0o120777 << 16, zipfile.ZIP_DEFLATED
        archive.writestr(link, "../../etc/passwd")
    assert "escaping-link" in anomalies(buffer.getvalue())


def test_a_member_that_promises_hundreds_of_times_its_size() -> None:
    assert "high-compression" in anomalies(zipped({"w.bin": bytes(70 << 20)}))
    assert "high-compression" not in anomalies(zipped({"w.bin": bytes(1 << 20)}))


def test_offsets_that_no_file_has() -> None:
    """A directory that says it starts beyond the file, or that its members do."""
    data = bytearray(zipped({"a.txt": b"text"}))
    end = data.rfind(b"PK\x05\x06")
    for value in (0, 1, 1 << 31, (1 << 32) - 2):
        struct.pack_into("<L", data, end + 16, value)
        assert all(examination.state != "failed" for examination in examine_bytes(bytes(data)))


def test_debian_packages_are_opened() -> None:
    inner = gzip.compress(tarred({"usr/lib/model.pkl": EVIL}))
    members = {b"debian-binary/": b"2.0\n", b"data.tar.gz/": inner}
    data = b"!<arch>\n"
    for name, body in members.items():
        data += (
            name.ljust(16) + b"0".ljust(12) + b"0".ljust(6) * 2 + b"100644".ljust(8) + b"%-10d`\n" % len(body) + body
        )
        data += b"\n" * (len(body) % 2)
    found = findings_of(data, "x.deb")
    assert worst(found) == "critical"
    assert "!/data.tar.gz!/data.tar!/usr/lib/model.pkl" in found[0].subject
    for length in range(len(data)):
        assert all(examination.state != "failed" for examination in examine_bytes(data[:length]))


@pytest.mark.parametrize(
    "data", [b"Rar!\x1a\x07\x01\0" + bytes(40), b"MSCF\0\0\0\0" + bytes(40), bytes(600) + b"koly\0\0\0\4" + bytes(504)]
)
def test_what_is_not_opened_is_not_called_examined(data: bytes) -> None:
    assert examine_bytes(data)[-1].state == "not-understood"


def test_archives_of_one_shape_behind_each_other_do_not_disagree() -> None:
    """Distributed checkpoints are such files; the second's offsets fit into the first as well."""
    one = zipped({"archive/data.pkl": b"\x80\x02N."}, zipfile.ZIP_STORED)
    assert "archive-header-mismatch" not in anomalies(one + one)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=3000) | st.just(b"a" * 300_000), min_size=1, max_size=3),
    skippable=st.booleans(),
    checksum=st.booleans(),
    data=st.data(),
)
def test_a_zstd_stream_is_whole_where_a_frame_ends(
    parts: list[bytes], skippable: bool, checksum: bool, data: st.DataObject
) -> None:
    from garrison.sources.containers.streams import decompressor

    frames = [zstandard.ZstdCompressor(write_checksum=checksum).compress(part) for part in parts]
    if skippable:
        frames.insert(0, b"\x50\x2a\x4d\x18\x03\0\0\0abc")
    whole = b"".join(frames)
    ends = [len(b"".join(frames[: number + 1])) for number in range(len(frames))]
    cut = data.draw(st.sampled_from(ends) | st.integers(min(6, len(whole)), len(whole)))
    start = decompressor(BytesReader(whole[:cut]))
    assert start is not None
    stream = start()
    try:
        while stream.read(70_000):
            pass
        complete = True
    except Malformed:
        complete = False
    assert complete == (cut in ends)


def sparse(parts: list[tuple[int, bytes]], size: int) -> bytes:
    """A tar with one file as GNU tar stores it with --sparse --format=posix (format 1.0)."""
    lines = [str(len(parts)), *(text for offset, data in parts for text in (str(offset), str(len(data))))]
    stored = ("\n".join(lines) + "\n").encode()
    stored += bytes(-len(stored) % 512) + b"".join(data for _, data in parts)
    info = tarfile.TarInfo("GNUSparseFile.7/model.pkl")
    info.size = len(stored)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "model.pkl",
        "GNU.sparse.realsize": str(size),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(stored))
    return buffer.getvalue()


def test_files_stored_with_holes_are_read_behind_their_map_and_said() -> None:
    found = findings_of(sparse([(0, EVIL)], 1 << 20), "a.tar")
    assert {"dangerous-import", "file-with-holes"} <= {item.rule for item in found}
    assert {item.subject for item in found if item.rule == "dangerous-import"} == {"a.tar!/model.pkl"}


def test_a_map_that_lies_is_malformed() -> None:
    whole = sparse([(0, EVIL)], 100)
    for lie in (b"9", b"x", b"99999999"):
        broken = whole.replace(b"1\n0\n" + str(len(EVIL)).encode() + b"\n", (lie + b"\n0\n").ljust(7, b"\0"), 1)
        assert broken != whole
        assert "malformed" in {item.rule for item in findings_of(broken, "a.tar")}
