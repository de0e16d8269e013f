"""What stands in `reference.json`."""

from typing import Annotated, Literal

import msgspec

from garrison.serving.observe.reference.columns import Block

MANIFEST = "reference.json"
ARRAYS = "reference.safetensors"
QUERIES = "queries.json"
MOST = {MANIFEST: 1 << 24, ARRAYS: 1 << 28, QUERIES: 1 << 24}
"""Bytes that are read of each at the most."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ChartLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One moving average."""

    memory: Annotated[float, msgspec.Meta(ge=2, le=1e6)]
    """Rows."""
    limit: Positive
    """Hotelling's T² beyond which there is an alarm."""


class Side(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inputs, or outputs."""

    blocks: Annotated[tuple[Block, ...], msgspec.Meta(min_length=1, max_length=1024)]
    fitted_with: Annotated[int, msgspec.Meta(ge=1)]
    """Rows that show what is usual."""
    calibrated_with: Annotated[int, msgspec.Meta(ge=1)]
    """Other rows, from which the limits are."""
    charts: Annotated[tuple[ChartLimit, ...], msgspec.Meta(min_length=1, max_length=4)]
    window: Annotated[int, msgspec.Meta(ge=10, le=1 << 20)]
    """Rows of a window whose discrepancy is measured."""
    discrepancy: Positive
    """The squared discrepancy beyond which there is an alarm."""


class GroupRates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one group, where all is well; `None` where there were too few rows to say."""

    count: Annotated[int, msgspec.Meta(ge=0)] = 0
    positive: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Rows, and those among them that are positive."""
    selection_rate: Rate | None = None
    true_positive_rate: Rate | None = None
    false_positive_rate: Rate | None = None


class Performance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How well the model does on data that it was not trained with."""

    accuracy: Rate
    count: Annotated[int, msgspec.Meta(ge=1)]
    groups: dict[str, dict[str, GroupRates]] = {}
    """By the attribute, and its value."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reference of one model."""

    format: Literal["garrison-reference"] = "garrison-reference"
    version: Annotated[str, msgspec.Meta(pattern=r"^1\.\d{1,3}$")] = "1.0"
    tool: str
    model: str
    run_length: Positive
    """Clean rows between false alarms of everything that watches drift, on average."""
    seed: int
    inputs: Side
    outputs: Side | None = None
    classes: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(max_length=4096)] = ()
    """How often each was decided for; empty for models that decide for none."""
    performance: Performance | None = None
    files: dict[str, Sha256]
    """What each file beside this one hashes to."""
