"""What a line of the audit log can say. The format is `docs/reference/audit.md`; fields are only ever added to it."""

from typing import Literal

import msgspec

FORMAT = "garrison-audit/1"


class Entry(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="kind",
    tag=lambda name: name.removesuffix("Entry").lower(),
):
    """What all kinds have; the chain's own fields come before it in the line."""

    time: float
    """When it was written, in seconds since 1970, by the guard's clock as it was."""


class SegmentEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """The first line of a segment, and nowhere else. Signed like a checkpoint."""

    format: str
    log: str
    """A random id, the same in all segments of a log."""
    guard: str
    segment: int
    """From 1."""
    key: str = ""
    """The SHA-256 of the public key (SubjectPublicKeyInfo in DER) that the signature in the line verifies with."""


class CheckpointEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """Signs all lines before it, by the hash of the last that it carries."""

    log: str
    guard: str
    key: str = ""


class PrunedEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """Segments were deleted since they were old, as configured."""

    first: int
    """The number of the first segment that is still kept."""


class RecoveredEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """The end of the log could not be read when the guard started, and was put aside."""

    bytes: int
    sha256: str
    file: str
    """Its name beside the segments."""


class StartEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    guard: str
    release: str
    """Of garrison."""
    config: str
    """The SHA-256 of the configuration."""


class StopEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    pass


class ReloadEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    config: str


class MarkEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stage noticed about a call."""

    rule: str
    message: str = ""
    score: float | None = None


class CallEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """One call and what came of it, written before the answer leaves."""

    id: str
    transport: str
    action: str
    operation: str = ""
    model: str = ""
    version: str = ""
    requested: str = ""
    """The model that was asked for, where another one answered."""
    digest: str = ""
    """Of the model, where it is known."""
    principal: str = ""
    tenant: str = ""
    roles: list[str] = []
    method: str = ""
    """How the principal was told: `key`, `token`, `certificate`; absent for anonymous ones."""
    peer: str = ""
    """The address that the call came from, or its digest."""
    status: int
    refused: str = ""
    """The reason, where the guard refused; `cancelled` where the caller went away."""
    rows: int = 0
    marks: list[MarkEntry] = []
    degraded: list[str] = []
    """Stages that had failed and let the call through."""
    input: str = ""
    """HMAC-SHA256 of the body as the server was sent it."""
    answer: str = ""
    """HMAC-SHA256 of the answer's body; absent for streams."""
    sample: str = ""
    """The SHA-256 of the sealed sample `ID.json.age`; or `rate`, `large`, `full` or `failed` where none was kept."""
    duration: int
    """From the head of the request, in microseconds."""
    config: str
    """The first 16 digits of the configuration's SHA-256."""


class NoticedEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """What was noticed about a call after it was recorded."""

    call: str
    rule: str
    message: str = ""
    score: float | None = None
    model: str = ""
    principal: str = ""
    sample: str = ""


class IncidentEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    rule: str
    severity: str
    message: str
    model: str = ""
    principal: str = ""
    call: str = ""
    resolved: bool = False


class IntegrityEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """The served model was compared with what its owner signed."""

    model: str
    digest: str
    verdict: Literal["verified", "altered", "unknown"]
    message: str = ""


class FailureEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the guard failed."""

    stage: str
    error: str
    """The error's kind, and no more: what it says may quote inputs."""


class FeedbackEntry(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """Labels came for an earlier call."""

    call: str
    of: str
    """The id of the call that they are the labels of."""
    rows: int = 0


AnyEntry = (
    SegmentEntry
    | CheckpointEntry
    | PrunedEntry
    | RecoveredEntry
    | StartEntry
    | StopEntry
    | ReloadEntry
    | CallEntry
    | NoticedEntry
    | IncidentEntry
    | IntegrityEntry
    | FailureEntry
    | FeedbackEntry
)

_ENCODER = msgspec.json.Encoder()


def encoded(entry: msgspec.Struct) -> bytes:
    """As JSON, on one line; characters that UTF-8 cannot say are escaped."""
    try:
        return _ENCODER.encode(entry)
    except UnicodeEncodeError:  # half of a surrogate pair, from a name that somebody sent
        return _ENCODER.encode(_sayable(entry))


def _sayable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_sayable(one) for one in value]
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(
            value, **{name: _sayable(getattr(value, name)) for name in value.__struct_fields__}
        )
    return value
