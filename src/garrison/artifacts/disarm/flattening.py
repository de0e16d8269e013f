"""Lays a value out flat: tensors and plain values by name, and what is left behind.

Names are the keys on the way, joined by dots, so that the state of a module keeps exactly its keys. A module that was
pickled whole gets the names that its own `state_dict()` would give.
"""

import base64
import math
from collections.abc import Iterator
from typing import Any

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.contents import Contents, Left
from garrison.artifacts.disarm.texts import objection
from garrison.artifacts.disarm.values import (
    Array,
    Collection,
    Element,
    LongText,
    Mapping,
    Opaque,
    Reference,
    Storage,
    Tensor,
    Value,
    strides_of,
)
from garrison.core.errors import LimitExceeded
from garrison.sources.reader import Reader
from garrison.sources.source import Context

_DEPTH = 100
_VISITS = 1_000_000
_NAME = 4096
_TEXT = 1 << 20
_TOTAL = 32 << 20
_LISTED = 1000
_RESERVED = "__metadata__"
_WHOLE = "tensor"
"""The name of a tensor that is all there is."""
_VALUE = "value"
"""The same of a plain value."""
_MEMBERS = ("_parameters", "_buffers", "_modules")


class Laid:
    """The outcome: `tensors` and `values` by name, and what was left."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.values: dict[str, Any] = {}
        self.shared: dict[str, str] = {}
        """Names of tensors that are the same as an earlier one, and its name."""
        self.left: list[Left] = []
        self.unlisted = 0
        """What was left beyond those that are listed."""

    def leave(self, path: str, reason: str, place: int = -1) -> None:
        if len(self.left) >= _LISTED:
            self.unlisted += 1
            return
        self.left.append(Left(path, reason, f"@ {place:#x}" if place > 0 else ""))


def lay_out(contents: Contents, context: Context) -> Laid:
    """Walk over all that was read. Raises `LimitExceeded` where it is too much, or grows without end."""
    walk = _Walk(context)
    walk.value(contents.root)
    for act in contents.acts:
        if id(act) not in walk.told:
            walk.laid.leave("", act.reason, act.place)
    for one in contents.left:
        if len(walk.laid.left) >= _LISTED:
            walk.laid.unlisted += 1
        else:
            walk.laid.left.append(one)
    return walk.laid


_Child = tuple[str, Value, bool]
"""A name, a value, and whether only its tensors are carried: arguments of calls tell nothing else."""


class _Walk:
    def __init__(self, context: Context) -> None:
        self.laid = Laid()
        self.told: set[int] = set()
        self._context = context
        self._visits = 0
        self._text = 0
        self._seen: dict[tuple[Any, ...], str] = {}
        self._again: dict[str, int] = {}

    def value(self, root: Value) -> None:
        inside: set[int] = set()
        pending: list[tuple[str, Value, bool, int]] = [("", root, False, 0)]
        while pending:
            path, value, tensors_only, depth = pending.pop()
            if depth < 0:
                inside.discard(id(value))
                continue
            self._visits += 1
            if not self._visits & 0xFFF:
                self._context.check_time()
            if self._visits > _VISITS:
                raise LimitExceeded("facts", f"more than {_VISITS:,} values, once shared ones are written out")
            if self._leaf(path, value, tensors_only):
                continue
            if id(value) in inside:
                self.laid.leave(path, "a structure that contains itself")
            elif depth > _DEPTH:
                self.laid.leave(path, f"nested more than {_DEPTH} deep")
            else:
                inside.add(id(value))
                pending.append((path, value, False, -1))
                children = list(self._children(path, value, tensors_only))
                pending += [(self._join(path, key), child, only, depth + 1) for key, child, only in reversed(children)]

    def _join(self, path: str, key: str) -> str:
        return f"{path}.{key}" if path and key else path or key

    # ---------------------------------------------------------------- leaves

    def _leaf(self, path: str, value: Value, tensors_only: bool) -> bool:
        """Carry what has nothing inside; returns whether it was one."""
        match value:
            case Tensor():
                self._tensor(path, value)
            case Storage(size=size, dtype=dtype):
                width = elements.BYTES[dtype]
                self._tensor(path, Tensor(dtype, (size // width,), (width,), value, 0))
            case Array():
                return self._array(path, value, tensors_only)
            case Reference():
                if value.module == "torch" and value.name in elements.TORCH:
                    self._plain(path, value.whole, tensors_only)
                elif not tensors_only:
                    self.laid.leave(path, f"reference to {value.whole}", value.place)
            case Element():
                self._plain(path, elements.described(value), tensors_only)
            case Opaque() | Mapping() | Collection() | list() | tuple():
                return isinstance(value, list | tuple) and self._list(path, value, tensors_only)
            case _:
                self._plain(path, value, tensors_only)
        return True

    def _tensor(self, path: str, tensor: Tensor) -> None:
        storage = tensor.storage
        if tensor.dtype not in elements.SIZES:
            self.laid.leave(path, f"tensor of type {tensor.dtype}, which safetensors has no name for")
        elif storage.reader is None:
            self.laid.leave(path, f"tensor without its bytes: {storage.problem or 'they are not there'}")
        else:
            name = self._free(path or _WHOLE)
            identity = (id(storage), tensor.offset, tensor.dtype, tensor.shape, tensor.strides)
            first = self._seen.setdefault(identity, name)
            if first != name:
                self.laid.shared[name] = first
            self.laid.tensors[name] = tensor

    def _free(self, name: str) -> str:
        """The name, or one like it that no other tensor has."""
        name = name.encode("utf-8", "backslashreplace").decode()
        if len(name) > _NAME:
            raise LimitExceeded("text", f"a tensor whose name has {len(name):,} characters")
        self._charge(len(name) + 64)
        found = name
        while found in self.laid.tensors or found == _RESERVED:
            self._again[name] = self._again.get(name, 1) + 1
            found = f"{name}#{self._again[name]}"
        return found

    def _charge(self, count: int) -> None:
        self._text += count
        if self._text > _TOTAL:
            raise LimitExceeded("text", f"names and plain values of more than {_TOTAL >> 20} MiB")

    def _plain(self, path: str, value: Value, tensors_only: bool) -> None:
        if tensors_only:
            return
        found = self._json(path, value)
        if found is not ...:
            self._keep(path, found)

    def _keep(self, path: str, value: Any) -> None:
        name = (path or _VALUE).encode("utf-8", "backslashreplace").decode()
        self._charge(len(name) + 16)
        found = name
        while found in self.laid.values:
            self._again[name] = self._again.get(name, 1) + 1
            found = f"{name}#{self._again[name]}"
        self.laid.values[found] = value

    def _json(self, path: str, value: Value) -> Any:
        """A plain value as JSON has it; `...` where it was left behind."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            if -(1 << 63) <= value < 1 << 64:
                return value
            return {"integer": hex(value)}
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, LongText):
            data = value.encoded.pread(0, _TEXT + 1)
            value = data.decode("utf-8", "backslashreplace") if len(data) <= _TEXT else None
        if isinstance(value, str):
            self._charge(len(value))
            if reason := objection(value):
                self.laid.leave(path, reason)
                return ...
            return value.encode("utf-8", "backslashreplace").decode()
        if isinstance(value, Reader):
            value = value.pread(0, _TEXT + 1)
        if isinstance(value, bytes) and len(value) <= _TEXT:
            self._charge(len(value) * 2)
            return {"base64": base64.b64encode(value).decode()}
        self.laid.leave(path, f"text or bytes longer than {_TEXT:,}")
        return ...

    # ---------------------------------------------------------------- lists

    def _list(self, path: str, value: "list[Value] | tuple[Value, ...]", tensors_only: bool) -> bool:
        """Carry a list of plain values as one; returns whether it was."""
        if not all(item is None or isinstance(item, bool | int | float | str) for item in value):
            return False
        if not tensors_only:
            self._visits += len(value)
            self._charge(8 * len(value))
            found = [self._json(path, item) for item in value]
            if ... not in found:
                self._keep(path, found)
        return True

    # ---------------------------------------------------------------- arrays

    def _array(self, path: str, array: Array, tensors_only: bool) -> bool:
        element = array.element
        if array.mask is not None and array.mask.element is not None:
            self._array(self._join(path, "mask"), array.mask, tensors_only)
        if element is None:
            self.laid.leave(path, "array whose state is not there, or does not fit it")
            return True
        if array.objects is not None:
            return self._list(path, array.objects, tensors_only)
        if array.data is None:
            self.laid.leave(path, "array of objects without its objects")
            return True
        strides = strides_of(array.shape, element.size, fortran=array.fortran)
        shape = array.shape
        if array.axes is not None:
            shape = tuple(shape[axis] for axis in array.axes)
            strides = tuple(strides[axis] for axis in array.axes)
        storage = Storage("U8", "", array.data.size, array.data, element.big)
        self._elements(path, element, shape, strides, storage, 0, tensors_only)
        return True

    def _elements(
        self,
        path: str,
        element: Element,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        storage: Storage,
        offset: int,
        tensors_only: bool,
    ) -> None:
        """Carry an array of numbers as a tensor, one of structures as a tensor for each part."""
        dtype = elements.carried(element)
        if dtype:
            placed = Storage(dtype, "", storage.size, storage.reader, element.big)
            self._tensor(path, Tensor(dtype, shape, strides, placed, offset))
        elif element.base is not None:
            inner = strides_of(element.shape, element.base.size)
            self._elements(path, element.base, shape + element.shape, strides + inner, storage, offset, tensors_only)
        elif element.fields:
            for name, part, at in element.fields:
                self._elements(self._join(path, name), part, shape, strides, storage, offset + at, tensors_only)
        elif element.kind == "U" and (texts := self._texts(element, shape, strides, storage, offset)) is not None:
            if not tensors_only:
                self._list(path, texts, tensors_only)
        else:
            self.laid.leave(path, f"array of {elements.described(element)}, which safetensors has no name for")

    def _texts(
        self, element: Element, shape: tuple[int, ...], strides: tuple[int, ...], storage: Storage, offset: int
    ) -> list[Value] | None:
        """The texts in a row of a few; None for other arrays."""
        if len(shape) != 1 or element.size * shape[0] > _TEXT or storage.reader is None:
            return None
        encoding = "utf-32-be" if element.big else "utf-32-le"
        places = range(offset, offset + shape[0] * strides[0], strides[0] or 1)
        read = (storage.reader.pread(place, element.size) for place in places)
        return [data.decode(encoding, "replace").rstrip("\0") for data in read]

    # ---------------------------------------------------------------- insides

    def _children(self, path: str, value: Value, tensors_only: bool) -> Iterator[_Child]:
        match value:
            case Mapping():
                if not value.entries and not tensors_only and path:
                    self._keep(path, {})
                yield from self._entries(value.entries, tensors_only)
                for state in value.attributes:
                    yield from self._state(state, tensors_only)
            case Opaque():
                self._opaque(path, value)
                for index, argument in enumerate(value.arguments):
                    yield f"arguments.{index}", argument, True
                for state in value.states:
                    yield from self._state(state, tensors_only)
                yield from self._entries(value.entries, tensors_only)
                yield from ((str(index), item, tensors_only) for index, item in enumerate(value.items))
            case Array(objects=list() as items, shape=shape):
                for number, item in enumerate(items):
                    yield ".".join(map(str, _index(number, shape))), item, tensors_only
            case Collection(items=items) | items:
                yield from ((str(index), item, tensors_only) for index, item in enumerate(items))

    def _opaque(self, path: str, value: Opaque) -> None:
        carried = "; its arrays and plain values are carried" if value.states or value.entries or value.items else ""
        if id(value) not in self.told:
            self.laid.leave(path, value.reason + carried, value.place)
        self.told.add(id(value))

    def _entries(self, entries: list[tuple[Value, Value]], tensors_only: bool) -> Iterator[_Child]:
        """The last value of each key, as a dictionary keeps it."""
        last: dict[str, tuple[str, Value]] = {}
        for number, (key, value) in enumerate(entries):
            name = _key(key)
            # Keys of other types than text may look alike and differ.
            last[repr(key) if isinstance(key, str | int | float | bytes) else f"#{number}"] = (
                name or f"#{number}",
                value,
            )
        for name, value in last.values():
            yield name, value, tensors_only

    def _state(self, state: Value, tensors_only: bool) -> Iterator[_Child]:
        """What `__setstate__` would be given, or an object's attributes."""
        if isinstance(state, tuple) and len(state) == 2 and all(isinstance(one, Mapping | None) for one in state):
            for one in state:
                yield from self._state(one, tensors_only) if one is not None else ()
        elif isinstance(state, Mapping):
            yield from self._attributes(state, tensors_only)
        elif state is not None:
            yield "state", state, tensors_only

    def _attributes(self, state: Mapping, tensors_only: bool) -> Iterator[_Child]:
        known = {key: value for key, value in state.entries if isinstance(key, str)}
        module = all(isinstance(known.get(name), Mapping) for name in _MEMBERS)
        unsaved = known.get("_non_persistent_buffers_set") if module else None
        skipped = (
            {item for item in unsaved.items if isinstance(item, str)} if isinstance(unsaved, Collection) else set()
        )
        for name, value, only in self._entries(state.entries, tensors_only):
            if not module or not name.startswith("_"):
                yield name, value, only
            if not module or name not in _MEMBERS:
                continue
            for inner, item, _ in self._entries(value.entries, only):
                if item is None or (name == "_buffers" and inner in skipped):
                    continue
                yield inner, item, only


def _key(key: Value) -> str:
    """A key as a part of a name; empty for one that is no text and no number."""
    if isinstance(key, bytes):
        return key.decode("utf-8", "backslashreplace")
    if key is None or isinstance(key, str | bool | int | float):
        return str(key)
    if isinstance(key, tuple) and len(key) <= 16 and all(isinstance(one, str | int | float) for one in key):
        return ",".join(map(str, key))
    return ""


def _index(number: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Where in an array its element of that number, in C order, is."""
    found = []
    for length in reversed(shape):
        number, at = divmod(number, max(length, 1))
        found.append(at)
    return tuple(reversed(found))
