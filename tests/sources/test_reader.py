"""A decompressing reader goes back without unpacking everything again, where its decompressor can be copied."""

import gzip
import hashlib

from garrison.sources.containers.streams import decompressor
from garrison.sources.reader import BytesReader, DecompressingReader

MIB = 1 << 20
DATA = b"".join(hashlib.sha256(b"%d" % number).digest() * 32 for number in range(40 * 1024))


def test_a_jump_back_costs_no_second_pass() -> None:
    start = decompressor(BytesReader(gzip.compress(DATA, 1)))
    assert start is not None
    unpacked = [0]

    def charge(count: int) -> None:
        unpacked[0] += count

    reader = DecompressingReader(start, charge, cache=MIB, restarts=0)
    assert reader.size == len(DATA) == 40 * MIB == unpacked[0]
    for offset in (39 * MIB, 20 * MIB, 33 * MIB, 18 * MIB):
        before = unpacked[0]
        assert reader.pread(offset, 100) == DATA[offset : offset + 100]
        assert unpacked[0] - before <= 17 * MIB


def test_what_is_not_packed_has_no_decompressor() -> None:
    assert decompressor(BytesReader(b"plain")) is None and decompressor(BytesReader(b"")) is None
