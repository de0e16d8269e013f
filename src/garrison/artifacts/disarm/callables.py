"""The few callables whose results are known without calling them, and what objects of NumPy and joblib do with a state.

Each follows its original exactly or gives `UNKNOWN`. Sources: `torch/_utils.py`, `torch/_tensor.py`,
`numpy/_core/src/multiarray/methods.c` (`array_setstate`), `numpy/_core/numeric.py` (`_frombuffer`),
`joblib/numpy_pickle.py` (`NumpyArrayWrapper.read_array`), `Lib/copyreg.py`.
"""

import math
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.encoded_text import encoded
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
)
from garrison.core.errors import ExaminationError, Malformed
from garrison.sources.reader import BytesReader, Reader

if TYPE_CHECKING:
    from garrison.artifacts.disarm.unpickling import Unpickling

UNKNOWN: Final = object()
"""The answer of a rule that does not know what the call would give."""

_NESTED = 4
_DIMENSIONS = 64
_LONGEST = 1 << 48
_NUMBERS = {
    ("b", 1): "?",
    **{("i", 1 << power): "bhiq"[power] for power in range(4)},
    **{("u", 1 << power): "BHIQ"[power] for power in range(4)},
    ("f", 2): "e",
    ("f", 4): "f",
    ("f", 8): "d",
}
_LATIN = frozenset({"latin1", "latin-1", "latin_1", "iso-8859-1"})
_DTYPES = {"ml_dtypes.bfloat16": Element("bf", 2)}


class Wrapper:
    """joblib's stand-in for an array whose bytes follow in the stream."""

    __slots__ = ()


Rule = Callable[["Unpickling", tuple[Value, ...]], Value]


def result(unpickling: "Unpickling", function: Reference, arguments: tuple[Value, ...]) -> Value:
    """What a call gives; `UNKNOWN` where only calling would tell."""
    rule = _RULES.get(function.whole)
    return UNKNOWN if rule is None else rule(unpickling, arguments)


def instance(unpickling: "Unpickling", kind: Reference, arguments: tuple[Value, ...]) -> Value:
    """What `kind.__new__` gives; `UNKNOWN` where that is an object of its own."""
    if kind.whole == "joblib.numpy_pickle.NumpyArrayWrapper":
        return Wrapper()
    if kind.whole in _CONTAINERS:
        return _RULES[kind.whole](unpickling, arguments)
    return UNKNOWN


def with_state(unpickling: "Unpickling", target: "Element | Array | Wrapper", state: Value) -> Value:
    """What stands for an object after BUILD."""
    if isinstance(target, Wrapper):
        return _in_the_stream(unpickling, state)
    if isinstance(target, Array):
        _set_array(target, state)
        return target
    # In place, since the memo knows it too.
    new = elements.with_state(target, state)
    for name in Element.__slots__:
        setattr(target, name, getattr(new, name))
    return target


# ---------------------------------------------------------------- containers


def _dictionary(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    if not arguments:
        return Mapping()
    if len(arguments) > 1:
        return UNKNOWN
    if isinstance(arguments[0], Mapping):
        return Mapping(list(arguments[0].entries))
    pairs = arguments[0]
    if isinstance(pairs, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        return Mapping([(key, value) for key, value in pairs])
    return UNKNOWN


def _default_dictionary(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    # The factory is named and never called.
    return _dictionary(_, arguments[1:])


def _list(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    if not arguments:
        return []
    return list(arguments[0]) if isinstance(arguments[0], list | tuple) else UNKNOWN


def _tuple(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    found = _list(_, arguments)
    return tuple(found) if isinstance(found, list) else UNKNOWN


def _set(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    found = _list(_, arguments)
    return Collection(found) if isinstance(found, list) else UNKNOWN


# ---------------------------------------------------------------- bytes


def _encoded(unpickling: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """Bytes as protocols before 3 have them: text, to be encoded in Latin-1."""
    if len(arguments) != 2 or arguments[1] not in _LATIN:
        return UNKNOWN
    text = arguments[0]
    if isinstance(text, LongText):
        return encoded(text.encoded, unpickling.context)
    try:
        return text.encode("latin-1") if isinstance(text, str) else UNKNOWN
    except UnicodeEncodeError:
        return UNKNOWN


def _bytes(unpickling: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    if not arguments:
        return b""
    if len(arguments) == 2:
        return _encoded(unpickling, arguments)
    return arguments[0] if isinstance(arguments[0], bytes | Reader) else UNKNOWN


def reader_of(value: Value) -> Reader | None:
    """A reader over bytes; None where the value is none."""
    if isinstance(value, str):  # what Python 2 wrote
        try:
            return BytesReader(value.encode("latin-1"))
        except UnicodeEncodeError:
            return None
    return BytesReader(value) if isinstance(value, bytes) else value if isinstance(value, Reader) else None


# ---------------------------------------------------------------- NumPy


def _dtype(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    match arguments:
        case (str() as spec, *_rest):
            return elements.spelled(spec)
        case (bytes() as spec, *_rest):
            return elements.spelled(spec.decode("latin-1"))
        case (Reference() as named, *_rest):
            known = _DTYPES.get(named.whole)
            if known is not None:
                return Element(known.kind, known.size)
            return elements.spelled(named.name) if named.module == "numpy" else UNKNOWN
    return UNKNOWN


def _array(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """`_reconstruct(subtype, shape, dtype)`: an empty array, whose state follows."""
    return Array() if len(arguments) == 3 else UNKNOWN


def _masked_array(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """`_mareconstruct(subtype, base, shape, dtype)`, the same with a mask."""
    return Array(mask=Array()) if len(arguments) == 4 else UNKNOWN


def _set_array(target: Array, state: Value) -> None:
    if target.mask is not None and isinstance(state, tuple) and len(state) == 7:
        *state, mask, _ = state
        _set_array(target.mask, (state[1], Element("b", 1), state[3], mask))
        state = tuple(state)
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        return
    shape, element, fortran, data = state[-4:]
    lengths = _lengths(shape)
    if lengths is None or not isinstance(element, Element) or target.element is not None:
        return
    if isinstance(data, list):
        if element.objects and len(data) == math.prod(lengths):
            target.objects = data
        else:
            return
    else:
        found = reader_of(data)
        if found is None or element.objects or found.size != math.prod(lengths) * element.size:
            return
        target.data = found
    target.element, target.shape, target.fortran = element, lengths, bool(fortran)


def _from_buffer(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    if len(arguments) not in (4, 5):
        return UNKNOWN
    data, element, shape, order = arguments[:4]
    found, lengths = reader_of(data), _lengths(shape)
    if found is None or lengths is None or not isinstance(element, Element) or element.objects:
        return UNKNOWN
    if order not in ("C", "F", "K") or found.size != math.prod(lengths) * element.size:
        return UNKNOWN
    made = Array(element, lengths, order == "F", found)
    axes = arguments[4] if len(arguments) == 5 else None
    if order == "K" and axes is not None:
        if not isinstance(axes, tuple | list) or sorted(map(_integer, axes)) != list(range(len(lengths))):
            return UNKNOWN
        made.axes = tuple(axes)
    return made


def _scalar(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """A number of NumPy's as Python's, which holds any of them exactly."""
    match arguments:
        case (Element(objects=True), value):
            return value
        case (Element(kind=kind, size=size, big=big), bytes() as data):
            form = _NUMBERS.get((kind, size))
            if form is not None and len(data) == size:
                return struct.unpack((">" if big else "<") + form, data)[0]
            if kind == "U" and len(data) == size:
                text = data.decode("utf-32-be" if big else "utf-32-le", "replace")
                return text.rstrip("\0")
    return UNKNOWN


def _in_the_stream(unpickling: "Unpickling", state: Value) -> Value:
    """The array that joblib wrote behind a wrapper's state. Raises `Malformed` where its end cannot be told."""
    pairs = state.entries if isinstance(state, Mapping) else []
    entries = {key: value for key, value in pairs if isinstance(key, str)}
    element, lengths = entries.get("dtype"), _lengths(entries.get("shape"))
    if not isinstance(element, Element) or element.kind == "?" or lengths is None:
        raise Malformed(f"an array wrapper at {unpickling.place:#x} does not say how long its array is")
    if element.objects:
        return unpickling.nested(unpickling.position)
    if type(entries.get("numpy_array_alignment_bytes")) is int:
        unpickling.skip(1 + unpickling.reader.exactly(unpickling.position, 1)[0])
    size = math.prod(lengths) * element.size
    start = unpickling.position
    unpickling.skip(size)
    return Array(element, lengths, entries.get("order") == "F", unpickling.reader.window(start, size))


def _integer(value: Value) -> int:
    return value if type(value) is int else -1


def _lengths(shape: Value) -> tuple[int, ...] | None:
    """A shape that can be one."""
    if type(shape) is int:
        shape = (shape,)
    if not isinstance(shape, tuple | list) or len(shape) > _DIMENSIONS:
        return None
    if not all(type(length) is int and 0 <= length < _LONGEST for length in shape):
        return None
    return tuple(shape) if math.prod(shape) < _LONGEST else None


# ---------------------------------------------------------------- PyTorch


def view(
    unpickling: "Unpickling", storage: Value, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> Value:
    """The tensor of a storage's elements from `offset` on, or an `Opaque` that says why it is none."""
    if not isinstance(storage, Storage):
        return Opaque("tensor without its storage", unpickling.place)
    return _view(unpickling, storage.dtype, storage, offset, size, stride)


def _tensor(unpickling: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """`_rebuild_tensor(storage, offset, size, stride)`."""
    if len(arguments) != 4 or not isinstance(arguments[0], Storage):
        return UNKNOWN
    return _view(unpickling, arguments[0].dtype, *arguments)


def _tensor_2(unpickling: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """With whether it requires gradients, hooks, and perhaps metadata."""
    if len(arguments) not in (6, 7):
        return UNKNOWN
    return _with_metadata(_tensor(unpickling, arguments[:4]), arguments[6:])


def _tensor_3(unpickling: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """Of bytes without a type, so that the type stands here."""
    if len(arguments) not in (7, 8) or not isinstance(arguments[0], Storage):
        return UNKNOWN
    dtype = arguments[6]
    if not isinstance(dtype, Reference) or dtype.module != "torch":
        return UNKNOWN
    view = _view(unpickling, elements.TORCH.get(dtype.name, dtype.name), *arguments[:4])
    return _with_metadata(view, arguments[7:])


def _with_metadata(tensor: Value, metadata: tuple[Value, ...]) -> Value:
    """Metadata say that the numbers are to be conjugated or negated when they are used."""
    if not metadata or not isinstance(tensor, Tensor) or metadata[0] is None:
        return tensor
    if isinstance(metadata[0], Mapping) and not any(value for _, value in metadata[0].entries):
        return tensor
    return Opaque("tensor whose numbers are to be conjugated or negated", 0)


def _view(unpickling: "Unpickling", dtype: str, storage: Storage, offset: Value, size: Value, stride: Value) -> Value:
    if dtype not in elements.BYTES:
        return Opaque(f"tensor of type {dtype}", unpickling.place)
    shape, steps, width = _lengths(size), _lengths_of(stride), elements.BYTES[dtype]
    if shape is None or steps is None or len(shape) != len(steps) or type(offset) is not int or offset < 0:
        return Opaque("tensor of a shape that is none", unpickling.place)
    last = offset + sum((length - 1) * step for length, step in zip(shape, steps, strict=True))
    if 0 not in shape and (last + 1) * width > storage.size:
        return Opaque("tensor that reaches beyond its storage", unpickling.place)
    return Tensor(dtype, shape, tuple(step * width for step in steps), storage, offset * width)


def _lengths_of(stride: Value) -> tuple[int, ...] | None:
    if not isinstance(stride, tuple | list) or not all(type(one) is int and 0 <= one < _LONGEST for one in stride):
        return None
    return tuple(stride)


def _parameter(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """`_rebuild_parameter(data, requires_grad, hooks)`, with a state of its own or without."""
    if len(arguments) not in (3, 4):
        return UNKNOWN
    if len(arguments) == 4 and not _empty(arguments[3]):
        return Opaque("parameter with attributes of its own", 0, arguments[:1], [arguments[3]])
    return arguments[0]


def _from_type(unpickling: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """`_rebuild_from_type_v2(function, type, arguments, state)`."""
    match arguments:
        case (Reference() as function, Reference() as kind, tuple() as inner, state):
            made = result(unpickling, function, inner)
            if made is UNKNOWN:
                return UNKNOWN
            if kind.whole in _TENSORS and _empty(state):
                return made
            return unpickling.act(f"object of {kind.whole}", made, state)
    return UNKNOWN


def _empty(state: Value) -> bool:
    return state is None or state == () or (isinstance(state, Mapping) and not state.entries)


def _storage(unpickling: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """A storage that was pickled by itself: what `torch.save` writes, as bytes."""
    data = reader_of(arguments[0]) if len(arguments) == 1 else None
    if data is None or unpickling.depth >= _NESTED:
        return UNKNOWN
    from garrison.artifacts.disarm import torch_files

    try:
        return torch_files.load(data, unpickling.context, unpickling.acts, depth=unpickling.depth + 1)
    except ExaminationError:
        return UNKNOWN


def _device(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    match arguments:
        case (str() as kind,):
            return kind
        case (str() as kind, int() as index):
            return f"{kind}:{index}"
    return UNKNOWN


def _tagged(_: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """TorchScript's marks of what type a list or dictionary has."""
    return arguments[0] if arguments else UNKNOWN


# ---------------------------------------------------------------- copyreg


def _reconstructed(unpickling: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    """`_reconstructor(class, base, state)`, what protocols 0 and 1 make objects with."""
    match arguments:
        case (Reference() as kind, _, state):
            made = instance(unpickling, kind, ())
            if made is not UNKNOWN:
                return made
            return unpickling.act(f"object of {kind.whole}", *(() if state is None else (state,)))
    return UNKNOWN


def _new_object(unpickling: "Unpickling", arguments: tuple[Value, ...]) -> Value:
    if not arguments or not isinstance(arguments[0], Reference):
        return UNKNOWN
    made = instance(unpickling, arguments[0], arguments[1:])
    return unpickling.act(f"object of {arguments[0].whole}", *arguments[1:]) if made is UNKNOWN else made


_TENSORS = frozenset({"torch.Tensor", "torch.nn.parameter.Parameter", "torch._tensor.Tensor"})
_CONTAINERS = frozenset(
    {"collections.OrderedDict", "collections.defaultdict", "collections.Counter", "torch.Size"}
    | {f"builtins.{name}" for name in ("dict", "list", "set", "frozenset")}
)


def _everywhere(modules: tuple[str, ...], rules: dict[str, Rule]) -> dict[str, Rule]:
    return {f"{module}.{name}": rule for module in modules for name, rule in rules.items()}


_RULES: dict[str, Any] = {
    **_everywhere(
        ("builtins",),
        {
            "dict": _dictionary,
            "list": _list,
            "tuple": _tuple,
            "set": _set,
            "frozenset": _set,
            "bytes": _bytes,
            "bytearray": _bytes,
        },
    ),
    "collections.OrderedDict": _dictionary,
    "collections.Counter": _dictionary,
    "collections.defaultdict": _default_dictionary,
    "torch.Size": _tuple,
    "torch.device": _device,
    "_codecs.encode": _encoded,
    **_everywhere(("numpy.core.multiarray", "numpy._core.multiarray"), {"_reconstruct": _array, "scalar": _scalar}),
    "numpy.ma.core._mareconstruct": _masked_array,
    **_everywhere(("numpy.core.numeric", "numpy._core.numeric"), {"_frombuffer": _from_buffer}),
    "numpy.dtype": _dtype,
    **_everywhere(
        ("torch._utils",),
        {
            "_rebuild_tensor": _tensor,
            "_rebuild_tensor_v2": _tensor_2,
            "_rebuild_tensor_v3": _tensor_3,
            "_rebuild_parameter": _parameter,
            "_rebuild_parameter_with_state": _parameter,
        },
    ),
    **_everywhere(
        ("torch.jit._pickle",),
        dict.fromkeys(
            ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag"), _tagged
        ),
    ),
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.tensor._rebuild_from_type_v2": _from_type,
    "torch.storage._load_from_bytes": _storage,
    "copyreg._reconstructor": _reconstructed,
    "copyreg.__newobj__": _new_object,
}
