"""What was read of a file, before it is laid out: a value, what would have run code, and what was passed over."""

from dataclasses import dataclass, field

import msgspec

from garrison.artifacts.disarm.values import Mapping, Opaque, Value


class Left(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that was not carried over."""

    path: str
    """Where it stands in the structure, as the names of tensors are made; empty for the whole and for what is nowhere
    in it."""
    reason: str
    place: str = ""
    """Where in the bytes, as `@ 0x2f`, where that is known."""


@dataclass(slots=True)
class Contents:
    framework: str
    """What safetensors' metadata call it: pt, np, tf."""
    root: Value = field(default_factory=Mapping)
    acts: list[Opaque] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    """Texts that safetensors' metadata already hold."""
