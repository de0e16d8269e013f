from pathlib import Path
from typing import Any

from tests.provenance.alterations import Attempt, Table, every
from tests.provenance.bundles.test_keyless import ALTERED, INSTANCE, STATEMENT, found

BUNDLE = INSTANCE.bundle(STATEMENT)
_EVERY = 37


NAME = BUNDLE.index(b"2014 log.example.com ") + 5


def sampled(directory: Path) -> Any:
    """A bit here and there, but of the name before the log's signature and of what base64 does not use of a letter."""
    name = range(NAME, NAME + 15)
    places = [at for at in range(0, len(BUNDLE), _EVERY) if at not in name and BUNDLE[at + 1 : at + 2] != b"="]
    variants = (BUNDLE[:at] + bytes([BUNDLE[at] ^ 1 << at // _EVERY % 7]) + BUNDLE[at + 1 :] for at in places)
    return every(variants, lambda data: found(data, directory))


def named_otherwise(directory: Path) -> Any:
    return found(BUNDLE.replace(b"2014 log.example.com ", b"2014 who.example.com "), directory)


def cut(directory: Path) -> Any:
    return every((BUNDLE[:end] for end in range(0, len(BUNDLE), _EVERY)), lambda data: found(data, directory))


def attempt(what: str) -> Attempt:
    return lambda directory: found(ALTERED[what](), directory)


TABLE = Table(
    title="Bundles signed with Sigstore",
    about="An instance of Sigstore is trusted, for `alice@example.com` as `https://accounts.example.com` knows her. "
    "Each row is the part that was altered, or what is wrong with it.",
    refused={
        **{what: attempt(what) for what in ALTERED},
        f"one bit, at each {_EVERY}th byte": sampled,
        f"cut off after each {_EVERY}th byte": cut,
    },
    harmless={"the name before the log's signature, which only its key counts for": named_otherwise},
)
