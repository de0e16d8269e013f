"""Which functions and classes are known, by name."""

from garrison.artifacts.disarm.rules import arrays, byte_strings, containers, joblib_arrays, objects, tensors
from garrison.artifacts.disarm.unpickling import Rule, Rules
from garrison.artifacts.disarm.values import Array, Element

_CONTAINERS = (
    *("collections.OrderedDict", "collections.defaultdict", "collections.Counter", "torch.Size"),
    *("builtins.dict", "builtins.list", "builtins.set", "builtins.frozenset"),
)
"""Classes whose `__new__` is taken to give what a call of them gives."""


def _everywhere(modules: tuple[str, ...], rules: dict[str, Rule]) -> dict[str, Rule]:
    return {f"{module}.{name}": rule for module in modules for name, rule in rules.items()}


_CALLS: dict[str, Rule] = {
    **_everywhere(
        ("builtins",),
        {
            "dict": containers.dictionary,
            "list": containers.list_,
            "tuple": containers.tuple_,
            "set": containers.set_,
            "frozenset": containers.set_,
            "bytes": byte_strings.bytes_,
            "bytearray": byte_strings.bytes_,
        },
    ),
    "collections.OrderedDict": containers.dictionary,
    "collections.Counter": containers.counter,
    "collections.defaultdict": containers.default_dictionary,
    "torch.Size": containers.tuple_,
    "torch.device": tensors.device,
    "_codecs.encode": byte_strings.encoded_text,
    **_everywhere(
        ("numpy.core.multiarray", "numpy._core.multiarray"), {"_reconstruct": arrays.array, "scalar": arrays.scalar}
    ),
    "numpy.ma.core._mareconstruct": arrays.masked_array,
    **_everywhere(("numpy.core.numeric", "numpy._core.numeric"), {"_frombuffer": arrays.from_buffer}),
    "numpy.dtype": arrays.dtype,
    **_everywhere(
        ("torch._utils",),
        {
            "_rebuild_tensor": tensors.tensor,
            "_rebuild_tensor_v2": tensors.tensor_v2,
            "_rebuild_tensor_v3": tensors.tensor_v3,
            "_rebuild_parameter": tensors.parameter,
            "_rebuild_parameter_with_state": tensors.parameter,
        },
    ),
    **_everywhere(
        ("torch.jit._pickle",),
        dict.fromkeys(
            ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag"),
            tensors.tagged,
        ),
    ),
    "torch._tensor._rebuild_from_type_v2": tensors.from_type,
    "torch.tensor._rebuild_from_type_v2": tensors.from_type,
    "torch.storage._load_from_bytes": tensors.storage_from_bytes,
    "copyreg._reconstructor": objects.reconstructed,
    "copyreg.__newobj__": objects.new_object,
}

RULES = Rules(
    calls=_CALLS,
    objects={
        "joblib.numpy_pickle.NumpyArrayWrapper": joblib_arrays.wrapper,
        **{name: _CALLS[name] for name in _CONTAINERS},
    },
    states={
        Element: arrays.dtype_with_state,
        Array: arrays.with_state,
        joblib_arrays.Wrapper: joblib_arrays.with_state,
    },
)
