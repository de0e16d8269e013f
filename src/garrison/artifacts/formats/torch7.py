"""Objects of Torch7 (Lua), binary and ASCII: tables, numbers, texts, tensors, and functions as bytecode.

Source: `File.lua`, `Tensor.lua` and `generic/Tensor.c`, `generic/Storage.c` of torch7.
"""

import re
import struct
from typing import Protocol

from garrison.core.errors import LimitExceeded, Malformed, NotUnderstood
from garrison.core.facts import Artifact, EmbeddedCode
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN, _OLD_FUNCTION, _LEGACY_FUNCTION, _FUNCTION = range(9)
_ELEMENTS = {"Byte": 1, "Char": 1, "Short": 2, "Half": 2, "Int": 4, "Float": 4, "Cuda": 4, "Long": 8, "Double": 8}
_RAW = re.compile(r"torch\.(Cuda)?(Byte|Char|Short|Half|Int|Float|Long|Double)?(Tensor|Storage)").fullmatch
_CLASS = re.compile(rb"[A-Za-z_][\w.]*").fullmatch
_ASCII = re.compile(
    rb"4\n\d+\n\d+\nV \d+\n\d+\n[A-Za-z_][\w.]*\n|3\n\d+\n\d+\n(?:2\n\d+\n|1\n-?\d|4\n\d+\n)|[678]\n\d+\n\d*\n?\x1bL"
).match
_FRAGMENT = b"T7\0\0"
_WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_]{1,63}").findall
_SOURCE_CALL = re.compile(rb"\b(os\.execute|io\.popen|os\.remove|loadstring|dofile|package\.loadlib|io\.open)\s*[('\"]")
_LIBRARIES = {
    "os": ("execute", "remove", "rename", "getenv", "exit"),
    "io": ("popen", "open", "lines"),
    "package": ("loadlib",),
    "ffi": ("cdef", "load", "C"),
    "socket": ("tcp", "connect", "http"),
}
_ALONE = ("loadstring", "dofile", "loadfile")
_OBJECTS = 2_000_000
_FUNCTIONS = 500
_LONGEST = 1 << 20


class _Input(Protocol):
    """Reads primitive values in one of the two encodings."""

    position: int

    def integer(self) -> int: ...
    def long(self) -> int: ...
    def number(self) -> None: ...
    def text(self) -> bytes: ...
    def skip(self, count: int, width: int) -> None: ...


class _Binary:
    """Little-endian, `int` of 4 bytes and `long` of 8."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.position = 0

    def _unpack(self, code: str) -> int:
        size = struct.calcsize("<" + code)
        data = self._reader.exactly(self.position, size)
        self.position += size
        return int(struct.unpack("<" + code, data)[0])

    def integer(self) -> int:
        return self._unpack("i")

    def long(self) -> int:
        return self._unpack("q")

    def number(self) -> None:
        self._reader.exactly(self.position, 8)
        self.position += 8

    def text(self) -> bytes:
        size = self.integer()
        if size < 0:
            raise Malformed(f"a text of {size} bytes at {self.position:#x}")
        data = self._reader.exactly(self.position, min(size, _LONGEST))
        self.skip(size, 1)
        return data

    def skip(self, count: int, width: int) -> None:
        size = count * width
        if count < 0 or (size and not self._reader.pread(self.position + size - 1, 1)):
            raise Malformed(f"{count} elements at {self.position:#x} are more than there are bytes for")
        self.position += size


class _Text:
    """Values separated by white space."""

    def __init__(self, reader: Reader, context: Context) -> None:
        self._reader = reader
        self._context = context
        self.position = 0

    def _token(self) -> bytes:
        data = self._reader.pread(self.position, 256)
        stripped = data.lstrip(b" \t\r\n")
        token = stripped.split(None, 1)[0] if stripped else b""
        if not token:
            raise Malformed(f"ends too early at {self.position:#x}")
        self.position += len(data) - len(stripped) + len(token)
        return token

    def integer(self) -> int:
        token = self._token()
        try:
            return int(token)
        except ValueError:
            raise Malformed(f"{token[:20]!r} at {self.position:#x} is no integer") from None

    def long(self) -> int:
        return self.integer()

    def number(self) -> None:
        self._token()

    def text(self) -> bytes:
        size = self.integer()
        if size < 0:
            raise Malformed(f"a text of {size} bytes at {self.position:#x}")
        start = self.position + 1
        data = self._reader.exactly(start, min(size, _LONGEST))
        if size:
            self._reader.exactly(start + size - 1, 1)
        self.position = start + size
        return data

    def skip(self, count: int, width: int) -> None:
        if not 0 <= count <= self._reader.size:
            raise Malformed(f"{count} elements at {self.position:#x} are more than there are bytes for")
        left = count
        while left:
            self._context.check_time()
            data = self._reader.pread(self.position, 1 << 16)
            if not data:
                raise Malformed(f"ends too early at {self.position:#x}")
            tokens = list(re.finditer(rb"\S+(?=\s)", data)) or list(re.finditer(rb"\S+", data))
            if not tokens:
                raise Malformed(f"ends too early at {self.position:#x}")
            used = tokens[: min(left, len(tokens))]
            left -= len(used)
            self.position += used[-1].end()


def sniff(source: Source) -> bool:
    """Whether the first object is one that Torch7 writes."""
    head = source.reader.pread(0, 256)
    if head.startswith(_FRAGMENT):
        return head[4:10] == b"torch."
    if _ASCII(head):
        return True
    if len(head) < 16:
        return False
    kind, index, size = struct.unpack_from("<iii", head)
    if index < 1:
        return False
    if kind == _TORCH:
        name = head[12 : 12 + size] if 0 < size < 200 else b""
        return re.fullmatch(rb"V \d{1,4}", name) is not None or (b"." in name and _CLASS(name) is not None)
    if kind == _TABLE:
        return 0 <= size < 1 << 24 and _is_key(head)
    return kind in (_OLD_FUNCTION, _LEGACY_FUNCTION, _FUNCTION) and head[12:14] == b"\x1bL"


def _is_key(head: bytes) -> bool:
    """Whether a table's first key is a text or a number from one."""
    kind, length = struct.unpack_from("<ii", head, 12) if len(head) >= 20 else (-1, 0)
    if kind == _STRING:
        key = head[20 : 20 + length] if 0 < length < 200 else b""
        return len(key) == length and key.isascii() and key.decode("ascii").isprintable()
    return kind == _NUMBER and len(head) >= 24 and struct.unpack_from("<d", head, 16)[0] == 1.0


def extract(source: Source, context: Context) -> Extracted:
    """State the classes and the functions. Raises `Malformed`, `NotUnderstood` and `LimitExceeded`."""
    head = source.reader.pread(0, 256)
    if head.startswith(_FRAGMENT):
        yield from _fragment(source, context)
        return
    is_text = _ASCII(head) is not None
    objects = _Objects(_Text(source.reader, context) if is_text else _Binary(source.reader), context)
    failure: Malformed | NotUnderstood | LimitExceeded | None = None
    try:
        objects.read()
    except (Malformed, NotUnderstood, LimitExceeded) as error:
        failure = error
    details: dict[str, str | int | float | bool] = {
        "framework": "torch7",
        "encoding": "ascii" if is_text else "binary",
        "classes": ", ".join(sorted(objects.classes))[:500],
        "tensors": objects.tensors,
    }
    if objects.functions:
        details["functions"] = len(objects.functions)
    yield Artifact(format="torch7", details=details)
    for position, code in objects.functions:
        yield EmbeddedCode(
            language="lua", form="function as bytecode", trigger="use", names=_names(code), place=f"@ {position:#x}"
        )
    if failure is not None:
        raise failure


def _names(code: bytes) -> tuple[str, ...]:
    """What the texts among a function's constants name together: `os` and `execute` are `os.execute`."""
    words = {word.decode("ascii") for word in _WORD(code)}
    found = [
        f"{library}.{name}"
        for library, names in _LIBRARIES.items()
        if library in words
        for name in names
        if name in words
    ]
    return tuple(found + [name for name in _ALONE if name in words])


def _fragment(source: Source, context: Context) -> Extracted:
    """Text with Torch7's names and no objects: no reader of Torch7 takes it, but what it says is told."""
    data = source.reader.pread(0, _LONGEST)
    yield Artifact(format="torch7", details={"framework": "torch7", "loadable": False})
    calls = tuple(dict.fromkeys(match[1].decode("ascii") for match in _SOURCE_CALL.finditer(data)))
    if calls:
        yield EmbeddedCode(language="lua", form="source text", trigger="carried", names=calls)


class _Objects:
    """Walks one object and all within it, without recursion."""

    def __init__(self, values: _Input, context: Context) -> None:
        self._values = values
        self._context = context
        self._seen: set[int] = set()
        self.classes: set[str] = set()
        self.tensors = 0
        self.functions: list[tuple[int, bytes]] = []

    def read(self) -> None:
        waiting = 1
        for count in range(_OBJECTS):
            if not waiting:
                return
            if not count % 1024:
                self._context.check_time()
            waiting += self._object() - 1
        raise LimitExceeded("members", f"more than {_OBJECTS} objects")

    def _object(self) -> int:
        """Read one object's own part; how many objects follow as its contents."""
        values = self._values
        start = values.position
        kind = values.integer()
        if kind == _NIL:
            return 0
        if kind == _NUMBER:
            values.number()
            return 0
        if kind == _BOOLEAN:
            values.integer()
            return 0
        if kind == _STRING:
            values.text()
            return 0
        if kind == _OLD_FUNCTION:
            return self._function(start)
        if kind not in (_TABLE, _TORCH, _FUNCTION, _LEGACY_FUNCTION):
            raise Malformed(f"the object at {start:#x} has the unknown type {kind}")
        index = values.integer()
        if index in self._seen:
            return 0
        self._seen.add(index)
        if kind == _TABLE:
            size = values.integer()
            if size < 0:
                raise Malformed(f"the table at {start:#x} has {size} entries")
            return 2 * size
        return self._torch(start) if kind == _TORCH else self._function(start)

    def _function(self, start: int) -> int:
        code = self._values.text()
        if len(self.functions) >= _FUNCTIONS:
            raise LimitExceeded("facts", f"more than {_FUNCTIONS} functions")
        self.functions.append((start, code))
        return 1

    def _torch(self, start: int) -> int:
        values = self._values
        name = values.text()
        if name.startswith(b"V "):
            name = values.text()
        if not _CLASS(name):
            raise Malformed(f"the object at {start:#x} has no class name")
        shown = name[:200].decode("ascii", "backslashreplace")
        self.classes.add(shown)
        raw = _RAW(shown)
        if raw is None:
            return 1
        if raw[3] == "Storage":
            values.skip(values.long(), _ELEMENTS[raw[2] or raw[1] or "Double"])
            return 0
        self.tensors += 1
        dimensions = values.integer()
        if not 0 <= dimensions <= 1024:
            raise Malformed(f"the tensor at {start:#x} has {dimensions} dimensions")
        for _ in range(2 * dimensions + 1):
            values.long()
        return 1
