"""What can be configured of the audit log."""

from typing import Annotated, Literal

import msgspec

from garrison.serving.config.paths import ConfigPath
from garrison.serving.stages import OnFailure

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=366 * 86400)]


class Samples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Inputs of calls that a stage has marked, sealed for those who may look at them; none without recipients."""

    recipients: tuple[ConfigPath, ...] = ()
    """Files of recipients in the age format, or public keys on P-256 in PEM."""
    directory: ConfigPath = "samples"
    most: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    """How many are kept; when there are so many, no more are taken."""
    most_bytes: Annotated[int, msgspec.Meta(ge=1)] = 1 << 30
    """How long they may be together; bodies above 4 MiB are not taken."""
    per_minute: Annotated[int, msgspec.Meta(ge=1, le=6000)] = 60
    keep_days: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """After which they are deleted."""


class Copy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A stream of Redis or Valkey that gets every line, too, so that what several guards wrote is in one place."""

    address: str = ""
    """`redis://`, `rediss://` or `unix://` and an address; none without one."""
    password_file: ConfigPath = ""
    stream: str = "garrison:audit"
    most: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    """About how many lines the stream keeps."""
    required: bool = False
    """Whether an answer waits until the stream has its record, and is refused where it does not get it."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 2.0
    """In seconds."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What is written down, and where."""

    directory: ConfigPath = "audit"
    """Of the log's segments; made for its owner alone where it is not there."""
    guard: Annotated[str, msgspec.Meta(max_length=128)] = ""
    """What the guard calls itself; the host's name when empty."""
    on_failure: OnFailure = "closed"
    durability: Literal["system", "disk"] = "system"
    """What an answer waits for: that the operating system has its record, which outlives the death of the guard; or
    that the disk has it, which outlives the loss of power."""
    signing_key: ConfigPath = ""
    """A private key in PEM, Ed25519 or on an elliptic curve, that signs checkpoints."""
    digest_key: ConfigPath = ""
    """A file whose bytes key the digests of inputs, answers and addresses; without it none of inputs and answers is
    written, since what has few values is guessed from a digest without a key."""
    peers: Literal["address", "digest", "none"] = "address"
    """What is written of where a call came from."""
    checkpoint_records: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000
    """After so many lines a checkpoint is written."""
    checkpoint_seconds: _Seconds = 10.0
    """After so long, at the latest."""
    segment_bytes: Annotated[int, msgspec.Meta(ge=1 << 12, le=1 << 34)] = 1 << 26
    segment_seconds: _Seconds = 86400.0
    keep_segments: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many segments are kept, the current one among them; all for 0."""
    keep_days: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """How long a full segment is kept; for ever for 0."""
    anchor: ConfigPath = ""
    """A file, best on another machine's disk, that gets every checkpoint, too: who cuts off the end of the log is told
    by it."""
    copy: Copy = Copy()
    samples: Samples = Samples()
