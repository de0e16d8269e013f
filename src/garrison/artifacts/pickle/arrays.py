"""Arrays that joblib writes into the stream itself.

After BUILD on a `NumpyArrayWrapper` joblib's unpickler reads the array from the file: a byte that counts the padding
behind it (from joblib 1.1, `numpy_array_alignment_bytes`), then the elements; an array of objects is a pickle.
Source: `joblib/numpy_pickle.py`, `NumpyArrayWrapper.read_array`.
"""

from typing import TYPE_CHECKING

from garrison.artifacts.numpy_types import spelled_size
from garrison.artifacts.pickle.symbols import Broken

if TYPE_CHECKING:
    from garrison.artifacts.pickle.ledger import Ledger
    from garrison.artifacts.pickle.machine import Machine


def end_of_array(ledger: "Ledger", machine: "Machine", state: int, start: int) -> int:
    """Where the stream goes on behind an array that starts at `start`.

    Raises `Broken` where the wrapper does not say how long its array is.
    """
    items = machine.items(state) or ()
    entries = {machine.literal(key): value for key, value in zip(items[::2], items[1::2], strict=False)}
    shape = machine.items(entries["shape"]) if "shape" in entries else None
    dtype = machine.symbol(entries["dtype"]) if "dtype" in entries else None
    if shape is None or dtype is None or dtype.kind != "dtype":
        raise Broken("has an array wrapper that does not say how long its array is")
    if dtype.name.lstrip("<>=|").startswith("O") or _holds_objects(machine, dtype.arguments):
        from garrison.artifacts.pickle.machine import Machine as Inner

        inner = Inner(machine.reader, ledger, check_time=machine.check_time, look=machine.look)
        # An unpickler of its own reads it, which knows nothing of joblib's arrays.
        following, ledger.follow_arrays = ledger.follow_arrays, False
        try:
            ending = inner.run(start)
        finally:
            ledger.follow_arrays = following
        if inner.crossed or inner.nested_frame or ending.frame_end > ending.position:
            machine.disputed.append(start)
        if not ending.stopped:
            raise Broken(f"holds an array of objects that {ending.detail}")
        ledger.arrays.add(start)
        return ending.position
    size = spelled_size(dtype.name)
    lengths = [machine.literal(value) for value in shape]
    if size is None or not all(type(length) is int and 0 <= length < 1 << 48 for length in lengths):
        raise Broken("has an array wrapper that does not say how long its array is")
    for length in lengths:
        size *= int(length)  # type: ignore[call-overload]
    alignment = machine.literal(entries["numpy_array_alignment_bytes"]) if _aligned(entries) else None
    if type(alignment) is int:
        padding = machine.pread(start, 1)
        start += 1 + (padding[0] if padding else 0)
    return start + size


def _aligned(entries: dict[object, int]) -> bool:
    return "numpy_array_alignment_bytes" in entries


def _holds_objects(machine: "Machine", state: "tuple[int, ...] | None") -> bool:
    """Bit 0 of a structured dtype's flags, the last entry of its state, says that it holds objects."""
    if not state or len(state) < 8:
        return False
    flags = machine.literal(state[7])
    return type(flags) is int and bool(flags & 1)
