"""Values in a Berkeley DB file, hash or tree, page by page.

Source: Berkeley DB's `dbinc/db_page.h` (the layout of pages) as its reference guide and open readers describe it.
"""

import struct
from collections.abc import Iterator

from garrison.core.errors import Malformed, NotUnderstood
from garrison.sources.reader import Reader
from garrison.sources.source import Context

_HASH, _TREE = 0x061561, 0x053162
_HASH_PAGES, _TREE_LEAF, _OVERFLOW = (2, 13), 5, 7
_KEY_OR_DATA, _ELSEWHERE = 1, 3
_HEADER = 26


class Items:
    """A Berkeley DB file. Raises `Malformed` where its first page cannot be."""

    def __init__(self, reader: Reader, context: Context) -> None:
        head = reader.exactly(0, 72)
        self._order = "<" if struct.unpack_from("<I", head, 12)[0] in (_HASH, _TREE) else ">"
        magic, _version, self._page = struct.unpack_from(f"{self._order}III", head, 12)
        if magic not in (_HASH, _TREE):
            raise Malformed("neither a hash nor a tree")
        if self._page < 512 or self._page > 65536 or self._page & (self._page - 1):
            raise Malformed(f"pages of {self._page} bytes cannot be")
        if head[24]:
            raise NotUnderstood("the database is encrypted")
        last = struct.unpack_from(f"{self._order}I", head, 32)[0]
        self._reader = reader
        self._context = context
        self._pages = reader.size // self._page
        self.missing = max(last + 1 - self._pages, 0)
        """Pages that the first page counts and the file does not have."""

    def values(self, problems: list[str]) -> Iterator[bytes]:
        """The values without their keys, in the order of pages; what cannot be read is added to `problems`."""
        if self.missing:
            problems.append(f"{self.missing} pages are missing at the end")
        for number in range(1, self._pages):
            self._context.check_time()
            try:
                page = self._read(number)
                items = self._items(page)
            except Malformed as error:
                problems.append(str(error))
                continue
            for start, end in items[1::2]:
                try:
                    value = self._value(page, start, end)
                except Malformed as error:
                    problems.append(str(error))
                    continue
                if value is not None:
                    yield value

    def _read(self, number: int) -> bytes:
        if not 0 < number < self._pages:
            raise Malformed(f"there is no page {number}")
        return self._reader.exactly(number * self._page, self._page)

    def _items(self, page: bytes) -> list[tuple[int, int]]:
        """Where the items of a page begin and end, keys and values by turns."""
        kind = page[25]
        if kind not in (*_HASH_PAGES, _TREE_LEAF):
            return []
        count = struct.unpack_from(f"{self._order}H", page, 20)[0]
        if _HEADER + 2 * count > self._page:
            raise Malformed(f"a page claims {count} items")
        starts = struct.unpack_from(f"{self._order}{count}H", page, _HEADER)
        if kind == _TREE_LEAF:
            return [(start, 0) for start in starts]
        return list(zip(starts, (self._page, *starts), strict=False))

    def _value(self, page: bytes, start: int, end: int) -> bytes | None:
        if not _HEADER <= start <= self._page - 3:
            raise Malformed("an item lies outside its page")
        if page[25] == _TREE_LEAF:
            kind = page[start + 2] & 0x7F
            end = start + 3 + struct.unpack_from(f"{self._order}H", page, start)[0]
            data = start + 3
        else:
            kind = page[start]
            data = start + 1
        if kind == _ELSEWHERE:
            if start + 12 > self._page:
                raise Malformed("an item lies outside its page")
            first, length = struct.unpack_from(f"{self._order}II", page, start + 4)
            return self._chain(first, length)
        if kind != _KEY_OR_DATA:
            return None
        if not data <= end <= self._page:
            raise Malformed("an item leaves its page")
        return page[data:end]

    def _chain(self, number: int, length: int) -> bytes:
        """A value that lies in pages of its own."""
        if length > min(self._reader.size, self._context.limits.buffer):
            raise Malformed(f"a value claims {length} bytes")
        parts: list[bytes] = []
        missing = length
        while missing > 0:
            page = self._read(number)
            used = struct.unpack_from(f"{self._order}H", page, 22)[0]
            if page[25] != _OVERFLOW or not 0 < used <= self._page - _HEADER:
                raise Malformed(f"page {number} does not go on with a value")
            parts.append(page[_HEADER : _HEADER + min(used, missing)])
            missing -= len(parts[-1])
            number = struct.unpack_from(f"{self._order}I", page, 16)[0]
        return b"".join(parts)
