"""Blobs in a table of an SQLite file, page by page: a big database is not held in memory, and no library parses it.

Source: SQLite documentation, "Database File Format".
"""

from collections.abc import Iterator

from garrison.core.errors import Malformed, NotUnderstood
from garrison.sources.reader import Reader
from garrison.sources.source import Context

SIGNATURE = b"SQLite format 3\0"
_INTERIOR, _LEAF = 0x05, 0x0D
_DEEPEST = 20
_FIXED = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8}
"""Bytes of a value by its serial type, for numbers; 0, 8 and 9 take none."""


class Tables:
    """The tables of an SQLite file. Raises `Malformed` where the file's header cannot be."""

    def __init__(self, reader: Reader, context: Context) -> None:
        header = reader.exactly(0, 100)
        size = int.from_bytes(header[16:18], "big")
        self._page = 65536 if size == 1 else size
        self._usable = self._page - header[20]
        if self._page < 512 or self._page & (self._page - 1) or self._usable < 480:
            raise Malformed(f"pages of {self._page} bytes cannot be")
        if header[56:60] in (b"\0\0\0\2", b"\0\0\0\3"):
            raise NotUnderstood("its texts are UTF-16, which rpm does not write")
        self._reader = reader
        self._context = context
        self._pages = -(-reader.size // self._page)

    def root(self, table: str) -> int | None:
        """The first page of a table; `None` if there is none of this name."""
        problems: list[str] = []
        for payload in self._payloads(1, problems):
            values = _record(payload)
            if len(values) >= 4 and values[0] == b"table" and values[1] == table.encode():
                root = values[3]
                return root if isinstance(root, int) else None
        if problems:
            raise Malformed(problems[0])
        return None

    def blobs(self, root: int, problems: list[str]) -> Iterator[bytes]:
        """The first text or blob of each row, in order; what cannot be read is added to `problems`."""
        for payload in self._payloads(root, problems):
            try:
                blob = next((value for value in _record(payload) if isinstance(value, bytes)), None)
            except Malformed as error:
                problems.append(str(error))
                continue
            if blob is not None:
                yield blob

    def _payloads(self, root: int, problems: list[str]) -> Iterator[bytes]:
        pending = [(root, 0)]
        seen: set[int] = set()
        while pending:
            self._context.check_time()
            number, depth = pending.pop()
            try:
                if number in seen or depth > _DEEPEST:
                    raise Malformed(f"the tree of pages comes to page {number} again")
                seen.add(number)
                page = self._read(number)
                start = 100 if number == 1 else 0
                kind = page[start]
                if kind == _INTERIOR:
                    pending += [(child, depth + 1) for child in reversed(self._children(page, start))]
                    continue
                if kind != _LEAF:
                    raise Malformed(f"page {number} is none of a table")
                cells = self._cells(page, start, 8)
            except Malformed as error:
                problems.append(str(error))
                continue
            for cell in cells:
                try:
                    yield self._payload(page, cell)
                except Malformed as error:
                    problems.append(str(error))

    def _read(self, number: int) -> bytes:
        if not 1 <= number <= self._pages:
            raise Malformed(f"there is no page {number}")
        return self._reader.exactly((number - 1) * self._page, self._page)

    def _cells(self, page: bytes, start: int, header: int) -> list[int]:
        count = int.from_bytes(page[start + 3 : start + 5], "big")
        first = start + header
        if first + 2 * count > len(page):
            raise Malformed(f"a page claims {count} cells")
        return [int.from_bytes(page[at : at + 2], "big") for at in range(first, first + 2 * count, 2)]

    def _children(self, page: bytes, start: int) -> list[int]:
        cells = [int.from_bytes(page[cell : cell + 4], "big") for cell in self._cells(page, start, 12)]
        return [*cells, int.from_bytes(page[start + 8 : start + 12], "big")]

    def _payload(self, page: bytes, cell: int) -> bytes:
        length, at = _varint(page, cell)
        _, at = _varint(page, at)
        if length > min(self._reader.size, self._context.limits.buffer):
            raise Malformed(f"a row claims {length} bytes")
        most = self._usable - 35
        local = length
        if length > most:
            least = (self._usable - 12) * 32 // 255 - 23
            local = least + (length - least) % (self._usable - 4)
            local = local if local <= most else least
        payload = page[at : at + local]
        if len(payload) != local:
            raise Malformed("a row leaves its page")
        if local == length:
            return payload
        return payload + self._overflow(int.from_bytes(page[at + local : at + local + 4], "big"), length - local)

    def _overflow(self, number: int, length: int) -> bytes:
        parts = []
        room = self._usable - 4
        for _ in range(-(-length // room)):
            page = self._read(number)
            parts.append(page[4 : 4 + min(length, room)])
            length -= len(parts[-1])
            number = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number, byte in enumerate(data[at : at + 9], 1):
        if number == 9:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + number
    raise Malformed("a number breaks off")


def _record(payload: bytes) -> list[bytes | int | None]:
    """Its values: whole numbers, texts and blobs; anything else as `None`."""
    end, at = _varint(payload, 0)
    start = end
    values: list[bytes | int | None] = []
    while at < end:
        kind, at = _varint(payload, at)
        length = _FIXED.get(kind, 0) if kind < 12 else (kind - 12) // 2
        data = payload[start : start + length]
        if len(data) != length:
            raise Malformed("a value leaves its row")
        start += length
        if kind >= 12:
            values.append(data)
        else:
            values.append(int.from_bytes(data, "big", signed=True) if 1 <= kind <= 6 else {8: 0, 9: 1}.get(kind))
    return values
