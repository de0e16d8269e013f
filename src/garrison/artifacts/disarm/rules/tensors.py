"""PyTorch's tensors, parameters and storages.

Sources: `torch/_utils.py`, `torch/_tensor.py`, `torch/storage.py`.
"""

from garrison.artifacts.disarm import elements
from garrison.artifacts.disarm.rules.byte_strings import reader_of
from garrison.artifacts.disarm.shapes import shape_of, steps_of
from garrison.artifacts.disarm.torch_archive import Archive, is_archive
from garrison.artifacts.disarm.torch_stack import Stack
from garrison.artifacts.disarm.unpickling import UNKNOWN, Unpickling
from garrison.artifacts.disarm.values import Mapping, Opaque, Reference, Storage, Tensor, Value
from garrison.core.errors import ExaminationError

_NESTED = 4
_TENSORS = frozenset({"torch.Tensor", "torch.nn.parameter.Parameter", "torch._tensor.Tensor"})


def view(unpickling: Unpickling, dtype: str, storage: Storage, offset: Value, size: Value, stride: Value) -> Value:
    """The tensor of a storage's elements from `offset` on, or an `Opaque` that says why it is none."""
    if dtype not in elements.BYTES:
        return Opaque(f"tensor of type {dtype}", unpickling.place)
    shape, steps, width = shape_of(size), steps_of(stride), elements.BYTES[dtype]
    if shape is None or steps is None or len(shape) != len(steps) or type(offset) is not int or offset < 0:
        return Opaque("tensor of a shape that is none", unpickling.place)
    last = offset + sum((length - 1) * step for length, step in zip(shape, steps, strict=True))
    if 0 not in shape and (last + 1) * width > storage.size:
        return Opaque("tensor that reaches beyond its storage", unpickling.place)
    return Tensor(dtype, shape, tuple(step * width for step in steps), storage, offset * width)


def tensor(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """`_rebuild_tensor(storage, offset, size, stride)`."""
    if len(arguments) != 4 or not isinstance(arguments[0], Storage):
        return UNKNOWN
    return view(unpickling, arguments[0].dtype, *arguments)


def tensor_v2(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """With whether it requires gradients, hooks, and perhaps metadata."""
    if len(arguments) not in (6, 7):
        return UNKNOWN
    return _with_metadata(tensor(unpickling, arguments[:4]), arguments[6:])


def tensor_v3(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """Of bytes without a type, so that the type stands here."""
    if len(arguments) not in (7, 8) or not isinstance(arguments[0], Storage):
        return UNKNOWN
    dtype = arguments[6]
    if not isinstance(dtype, Reference) or dtype.module != "torch":
        return UNKNOWN
    found = view(unpickling, elements.TORCH.get(dtype.name, dtype.name), *arguments[:4])
    return _with_metadata(found, arguments[7:])


def _with_metadata(tensor: Value, metadata: tuple[Value, ...]) -> Value:
    """Metadata say that the numbers are to be conjugated or negated when they are used."""
    if not metadata or not isinstance(tensor, Tensor) or metadata[0] is None:
        return tensor
    if isinstance(metadata[0], Mapping) and not any(value for _, value in metadata[0].entries):
        return tensor
    return Opaque("tensor whose numbers are to be conjugated or negated", 0)


def parameter(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """`_rebuild_parameter(data, requires_grad, hooks)`, with a state of its own or without."""
    if len(arguments) not in (3, 4):
        return UNKNOWN
    if len(arguments) == 4 and not _empty(arguments[3]):
        return Opaque("parameter with attributes of its own", 0, arguments[:1], [arguments[3]])
    return arguments[0]


def from_type(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """`_rebuild_from_type_v2(function, type, arguments, state)`."""
    match arguments:
        case (Reference() as function, Reference() as kind, tuple() as inner, state):
            made = unpickling.result(function, inner)
            if made is UNKNOWN:
                return UNKNOWN
            if kind.whole in _TENSORS and _empty(state):
                return made
            return unpickling.act(f"object of {kind.whole}", made, state)
    return UNKNOWN


def _empty(state: Value) -> bool:
    return state is None or state == () or (isinstance(state, Mapping) and not state.entries)


def storage_from_bytes(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """A storage that was pickled by itself: what `torch.save` writes, as bytes."""
    data = reader_of(arguments[0]) if len(arguments) == 1 else None
    if data is None or unpickling.depth >= _NESTED:
        return UNKNOWN
    try:
        if is_archive(data):
            archive = Archive(data, unpickling.context, unpickling.rules)
            return archive.value("data.pkl", "data", unpickling.acts, unpickling.depth + 1)
        return Stack(data, unpickling.context, unpickling.rules, unpickling.acts, unpickling.depth + 1).value()
    except ExaminationError:
        return UNKNOWN


def device(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    match arguments:
        case (str() as kind,):
            return kind
        case (str() as kind, int() as index):
            return f"{kind}:{index}"
    return UNKNOWN


def tagged(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """TorchScript's marks of what type a list or dictionary has."""
    return arguments[0] if arguments else UNKNOWN
