"""Compressed files of joblib before 0.10: `ZF`, the unpacked length in hexadecimal, then zlib data.

Later joblib writes ordinary gzip, zlib, bzip2, xz, lzma or lz4 files, and pickles with arrays inside, which
`garrison.artifacts.pickle.arrays` knows. Format: `joblib/numpy_pickle_compat.py`, `read_zfile`.
"""

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_PREFIX = b"ZF"
_DIGITS = 19


def sniff_zfile(source: Source) -> bool:
    """Whether a length and zlib data follow the prefix."""
    return _header(source) is not None


def extract_zfile(source: Source, context: Context) -> Extracted:
    """Yield what is compressed inside. Raises `Malformed`."""
    header = _header(source)
    if header is None:
        raise Malformed("the length is no hexadecimal number")
    length, start = header
    yield Artifact(format="joblib", details={"unpacked": length, "compression": "zlib"})
    yield source.member("zlib", source.reader.window(start, 1 << 60))


def _header(source: Source) -> tuple[int, int] | None:
    head = source.reader.pread(0, len(_PREFIX) + _DIGITS + 2)
    start = len(_PREFIX) + _DIGITS
    if not head.startswith(_PREFIX) or len(head) < start + 1:
        return None
    try:
        length = int(head[len(_PREFIX) : start], 16)
    except ValueError:
        return None
    # Python 2 wrote one more blank.
    start += head[start : start + 1] == b" "
    return (length, start) if head[start : start + 1] == b"\x78" else None
