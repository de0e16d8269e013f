"""Where an HDF5 file begins: at its start, or behind a block that belongs to somebody else.

Source: the HDF5 file format specification 3.0, section II.A, "Disk Format: Level 0A".
"""

from garrison.sources.source import Source

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 1 << 20


def sniff_behind(source: Source) -> bool:
    """A superblock behind a user block of 4096 bytes or a doubling of it, where the library looks too.

    The block can be any other file, so that this is asked of every subject; it stops at a megabyte.
    """
    offset = 4096
    while offset <= _USER_BLOCK:
        data = source.reader.pread(offset, 8)
        if data == SIGNATURE or len(data) < 8:
            return data == SIGNATURE
        offset *= 2
    return False
