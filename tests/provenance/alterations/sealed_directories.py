from pathlib import Path
from typing import Any

from tests.provenance.alterations import Attempt, Table
from tests.provenance.sealing.test_archives import HOSTILE, unpack


def attempt(archive: bytes) -> Attempt:
    def unpacked(directory: Path) -> Any:
        unpack(archive, directory / "model")

    return unpacked


TABLE = Table(
    title="Archives in sealed files",
    about="An archive that somebody sealed who may seal, but means ill, is unpacked with `garrison open --unpack`.",
    refused={what: attempt(archive) for what, archive in HOSTILE.items()},
    harmless={},
)
