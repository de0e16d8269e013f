"""What can be configured of this."""

from typing import Annotated, Literal

import msgspec

from garrison.serving.config.paths import ConfigPath
from garrison.serving.stages import OnFailure

Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class Drift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """The windows in which features are compared one by one, for the report. Alarms need none of this."""

    window_rows: Annotated[int, msgspec.Meta(ge=50)] = 1000
    window_seconds: Positive = 3600.0


class Queries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What is made of how a principal asks."""

    enabled: bool = True
    """Takes a reference with a monitor of queries."""
    reaction: Literal["report", "refuse"] = "report"
    """Say so, or refuse the principal's further calls of this model for `refuse-seconds`, too."""
    refuse_seconds: Positive = 900.0
    strikes: Annotated[int, msgspec.Meta(ge=1)] = 5
    """Alarms among about the last fifty queries that make a search. One alone may be chance."""
    most_fidelity: Share = 0.8
    """How good a copy a principal's queries may have bought before that is an incident, by the reference's curve."""
    most_fresh: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many queries that repeat none a principal may ask before that is an incident; 0 for any number."""
    account_days: Positive = 30.0
    """After which the shared account of a principal begins anew."""


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Where the group of a row is read."""

    source: Literal["feedback", "principal", "input"] = "feedback"
    """What the labels came with, an attribute of the principal, or an input."""
    name: str = ""
    """Of the attribute or the input; that of the group itself when empty."""
    edges: tuple[float, ...] = ()
    """Bounds that divide numbers into groups, in ascending order."""


class Feedback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Labels that arrive later."""

    enabled: bool = False
    calls: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 20_000
    """Calls whose decisions are remembered, in this process."""
    seconds: Positive = 7 * 86400.0
    """For how long."""
    others: tuple[str, ...] = ()
    """Roles that may label the calls of other principals."""
    positive: Annotated[int, msgspec.Meta(ge=0)] = 1
    """The class that rates of groups are about."""
    groups: dict[str, Group] = {}
    tolerance: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.02
    """By how much accuracy may fall, and differences between groups grow, before that counts."""
    baseline_rows: Annotated[int, msgspec.Meta(ge=50)] = 500
    """Labelled rows that show what is usual, where the reference does not say."""
    rows_per_false_alarm: Positive = 100_000.0
    """Of everything that labels are watched for, together, on average, at the least."""


class Canaries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Inputs with known answers that the guard itself sends to the server."""

    file: ConfigPath = ""
    """JSON; empty for none."""
    seconds: Positive = 60.0
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 1e-4
    """By how much a number may differ."""


class Integrity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Whether the served model is the one that was signed."""

    model: ConfigPath = ""
    """The file or directory that the server loads; empty for no check."""
    signature: ConfigPath = ""
    """The model's own when empty."""
    public_key: ConfigPath = ""
    """A PEM file: whose signatures count. One of this, `authorities` and `issuer`."""
    authorities: ConfigPath = ""
    subject: str = ""
    issuer: str = ""
    trusted_root: ConfigPath = ""
    seconds: Positive = 300.0
    reaction: Literal["report", "refuse"] = "report"
    """Say so, or refuse all calls of the model until it holds again, too."""


class Observe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What is watched of a model, and how closely."""

    reference: ConfigPath = ""
    """The directory that `garrison guard reference` wrote; without one neither drift nor queries are watched."""
    scores: str = ""
    """The output that says the class; found by its shape when empty."""
    state: ConfigPath = ""
    """A file for what is remembered over a restart; empty for none."""
    waiting: Annotated[int, msgspec.Meta(ge=1)] = 2048
    """Calls that wait to be looked at; beyond half of that a part of them is looked at, and the rest counted."""
    waiting_bytes: Annotated[int, msgspec.Meta(ge=1)] = 1 << 26
    rows_per_call: Annotated[int, msgspec.Meta(ge=1)] = 256
    """Of a call with more, as many that are spread evenly over it are looked at."""
    drift: Drift = Drift()
    queries: Queries = Queries()
    feedback: Feedback = Feedback()
    canaries: Canaries = Canaries()
    integrity: Integrity = Integrity()
    on_failure: OnFailure = "closed"
