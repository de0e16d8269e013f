"""Bytes that stand in a pickle as text: each byte the character of that number, the text in UTF-8.

So protocols 0 to 2 write bytes, and with them arrays; see `save_bytes` in `Lib/pickle.py`.
"""

import codecs

from garrison.core.errors import Malformed
from garrison.sources.reader import Reader
from garrison.sources.source import Context

_CACHE = 1 << 20


def encoded(text: Reader, context: Context) -> Reader:
    """The bytes, read forward piece by piece.

    Raises `Malformed` where the text has characters that stand for no byte.
    """
    reader = context.decompressing(lambda: _Encoding(text), cache=_CACHE)
    _ = reader.size
    if reader.error is not None:
        raise Malformed(f"text that stands for bytes breaks: {reader.error}")
    return reader


class _Encoding:
    def __init__(self, text: Reader) -> None:
        self._text = text
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, size: int, /) -> bytes:
        while data := self._text.pread(self._position, size):
            self._position += len(data)
            if text := self._decoder.decode(data):
                return text.encode("latin-1")
        self._decoder.decode(b"", final=True)
        return b""

    def copy(self) -> "_Encoding":
        """Another one that goes on from here."""
        other = _Encoding(self._text)
        other._position = self._position
        other._decoder.setstate(self._decoder.getstate())
        return other
