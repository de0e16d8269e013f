"""What stands in `detector.json`: what a detector is, how it is calibrated, what it costs, and its files' hashes."""

from typing import Annotated, Literal

import msgspec

from garrison.core.errors import UsageError
from garrison.robustness.detection.calibration import Calibration

FORMAT_VERSION = "1.0"
"""The minor number grows with additions, the major with anything that could break a reader."""
MANIFEST = "detector.json"
GRAPH = "detector.onnx"
SCORES = "benign.safetensors"
FILES = (GRAPH, SCORES)
MOST = {MANIFEST: 1 << 20, GRAPH: 1 << 31, SCORES: 1 << 28}
"""Bytes that are read of each at the most."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Sha256OrNone = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one input costs."""

    microseconds: Annotated[float, msgspec.Meta(gt=0)]
    """Median over inputs one at a time, on one thread, where it was stored."""
    machine: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The card of a stored detector."""

    format: Literal["garrison-detector"] = "garrison-detector"
    version: Annotated[str, msgspec.Meta(pattern=r"^1\.\d{1,3}$")] = FORMAT_VERSION
    tool: str
    """`garrison` and its version."""
    kind: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z-]{0,39}$")]
    settings: dict[str, bool | int | float | str | list[str]]
    """As fitting resolved them: `layers` are names of the model."""
    model: str
    """What it was fitted for, as it was given."""
    model_sha256: Sha256OrNone = ""
    data: str
    data_sha256: Sha256OrNone = ""
    shape: tuple[Annotated[int, msgspec.Meta(ge=1, le=1 << 24)], ...]
    """Of one input, float32."""
    fitted_with: int
    calibration: Calibration
    cost: Cost | None = None
    files: dict[str, Sha256]
    """What each file beside this one hashes to."""


def parsed(text: bytes, path: str) -> Manifest:
    """The manifest in a file's bytes. Raises `UsageError` for what is none."""
    try:
        found = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:  # ValidationError is one too
        raise UsageError(f"{path}: no manifest of a detector: {error}") from None
    if set(found.files) != set(FILES):
        raise UsageError(
            f"{path}: names {', '.join(sorted(found.files)) or 'no files'}, where it is {', '.join(FILES)}"
        )
    return found
