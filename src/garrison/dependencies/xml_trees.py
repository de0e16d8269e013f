"""XML as plain tables. Documents that declare entities are refused: none that lists packages needs them.

Source: XML 1.0; Python's `xml.parsers.expat`.
"""

from typing import Any

from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.source import Context

_DEPTH = 300
_ELEMENTS = 5_000_000


def as_tables(text: str, lists: frozenset[str], context: Context) -> dict[str, Any]:
    """The root element: attributes as `@name`, text as `#`, children by their names without a prefix.

    An element with nothing but text is that text. Those in `lists` are always tables in a list, as they may repeat;
    of others the last one counts. Raises `Malformed`.
    """
    from xml.parsers import expat

    builder = _Builder(lists, context)
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    parser.EntityDeclHandler = builder.entity
    try:
        parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        raise Malformed(f"not valid XML: {str(error)[:120]}") from None
    return builder.root


class _Builder:
    def __init__(self, lists: frozenset[str], context: Context) -> None:
        self.root: dict[str, Any] = {}
        self._lists = lists
        self._context = context
        self._stack: list[tuple[dict[str, Any], list[str]]] = []
        self._count = 0

    def entity(self, *_: object) -> None:
        raise Malformed("declares entities")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count % 4096 == 0:
            self._context.check_time()
        if len(self._stack) >= _DEPTH or self._count > _ELEMENTS:
            raise LimitExceeded("depth", f"XML of more than {_DEPTH} levels or {_ELEMENTS} elements")
        self._stack.append(({f"@{key}": value for key, value in attributes.items()}, []))

    def characters(self, data: str) -> None:
        if self._stack:
            self._stack[-1][1].append(data)

    def end(self, name: str) -> None:
        element, parts = self._stack.pop()
        text = "".join(parts).strip()
        name = name.rpartition(":")[2]
        if not self._stack:
            self.root = element
            return
        parent = self._stack[-1][0]
        if name in self._lists:
            if text:
                element["#"] = text
            same = parent.setdefault(name, [])
            if isinstance(same, list):
                same.append(element)
        elif any(not key.startswith("@") for key in element) or (element and not text):
            parent[name] = element
        else:
            parent[name] = text
