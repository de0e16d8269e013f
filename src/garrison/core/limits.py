"""Bounds on what the examination of one subject may cost."""

import msgspec

MIB = 1 << 20


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each bound ends in a coverage entry, never in silence."""

    seconds: float = 30.0
    """Time for one top-level file, to which `seconds_per_gib` is added for its size."""
    seconds_per_gib: float = 30.0
    memory: int = 2048 * MIB
    """Address space of one worker process beyond what it starts with, bytes."""
    depth: int = 12
    """Containers inside containers."""
    members: int = 100_000
    """Members read of one container."""
    entries: int = 1_000_000
    """Entries read of all layers of one image."""
    unpacked: int = 16 * 1024 * MIB
    """Bytes that decompression may produce for one top-level file."""
    ratio: int = 300
    """Unpacked to packed bytes, once `ratio_floor` bytes have been produced."""
    ratio_floor: int = 256 * MIB
    buffer: int = 64 * MIB
    """Bytes held at once of one decompressed member, and the most a whole-document parser is given."""
    facts: int = 20_000
    """Facts kept of one subject."""
    text: int = 4096
    """Characters kept of any text that is quoted in a fact."""
