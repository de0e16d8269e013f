"""Logs to test with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from garrison.provenance.keys import KeySigner
from garrison.serving.record.entries import CallEntry
from garrison.serving.record.log import AuditLog
from garrison.serving.record.settings import Record

SIGNER = KeySigner(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = KeySigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))


class Clock:
    """Stands still until it is told the time."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def entry(number: int = 0, **fields: Any) -> CallEntry:
    known: dict[str, Any] = {
        "time": 1_000_000.0,
        "id": f"call{number}",
        "transport": "http",
        "action": "infer",
        "model": "digits",
        "principal": "alice",
        "status": 200,
        "duration": 1234,
        "config": "0123456789abcdef",
    }
    return CallEntry(**known | fields)


@contextmanager
def opened(path: Path, *, sign: bool = True, **settings: Any) -> Iterator[AuditLog]:
    options: dict[str, Any] = {}
    for name in ("wall", "monotonic", "failed", "emit", "signer"):
        if name in settings:
            options[name] = settings.pop(name)
    if sign:
        options.setdefault("signer", SIGNER)
    clock = Clock()
    options = {"wall": clock, "monotonic": clock} | options
    log = AuditLog(Record(directory=str(path), **settings), "guard-1", **options)
    try:
        yield log
    finally:
        log.close()


def written(path: Path, count: int = 10, **settings: Any) -> Path:
    """A log with so many calls, checkpoints after every four lines, and a signed end."""
    with opened(path, **{"checkpoint_records": 4} | settings) as log:
        for number in range(count):
            log.append(entry(number))
    return path


def segment(path: Path, number: int = 1) -> Path:
    return path / f"audit-{number:06d}.jsonl"


def lines(path: Path, number: int = 1) -> list[bytes]:
    return segment(path, number).read_bytes().splitlines(keepends=True)
