"""Rebuilds a model without whatever it could do: its tensors and plain values as safetensors, and a list of the rest.

from garrison.artifacts.disarm import disarm

outcome = disarm("downloaded/checkpoint.pt", "checkpoint.safetensors")
outcome.left

Nothing of the file is imported, called or unpickled, and all of it is read in a worker process that can neither write
nor start anything.
"""

import os
from typing import TYPE_CHECKING, Any

import msgspec

from garrison.artifacts.disarm.contents import Left
from garrison.core.errors import ExaminationError, UsageError
from garrison.core.files import regular_file

if TYPE_CHECKING:
    from garrison.core.limits import Limits

__all__ = ["Disarmed", "ExaminationError", "Left", "disarm"]


class Disarmed(msgspec.Struct, frozen=True, kw_only=True):
    """What was carried over, and what was not."""

    format: str
    """What the file was, by the identifier of its format."""
    tensors: dict[str, str]
    """Types and shapes by name, as `F32 [3, 4]`."""
    size: int
    """Bytes of all tensors."""
    values: dict[str, Any]
    """Plain values by name, as JSON has them."""
    left: tuple[Left, ...]
    unlisted: int = 0
    """How much was left beyond what `left` lists."""
    notes: tuple[str, ...] = ()
    """What the system could not give the jail."""


def disarm(path: str, output: str, *, limits: "Limits | None" = None) -> Disarmed:
    """Rebuild the model at `path` as the safetensors file `output`.

    Raises `ExaminationError` where nothing can be carried over (no file is written then), `UsageError` where a path
    cannot be read or written, and `GarrisonError` where a worker fails.
    """
    from garrison.artifacts.disarm.writing import write
    from garrison.core.limits import Limits
    from garrison.sources.transformation import Errand, Transformation

    errand = Errand("garrison.artifacts.disarm.rebuilding:rebuild", path, limits or Limits())
    with regular_file(path) as file:
        try:
            if os.path.exists(output) and os.path.samestat(os.fstat(file.fileno()), os.stat(output)):
                raise UsageError(f"{output}: is the model itself, which would lose what is left behind")
            with Transformation(errand, file.fileno()) as transformation:
                plan, size = write(output, iter(transformation))
        except OSError as error:
            raise UsageError(f"{output}: cannot be written: {error.strerror}") from None
    return Disarmed(
        format=plan.format,
        tensors={tensor.name: f"{tensor.dtype} {list(tensor.shape)}" for tensor in plan.tensors},
        size=size,
        values=msgspec.json.decode(plan.values, type=dict[str, Any]),
        left=tuple(plan.left),
        unlisted=plan.unlisted,
        notes=transformation.missing,
    )
