from pathlib import Path
from typing import Any

from garrison.provenance.sealing.x25519 import X25519Identity
from tests.provenance.alterations import Attempt, Table, cuts, every, flips, losses, repeats
from tests.provenance.sealing.age_writer import KEY, X25519Key, armor, header, payload, stanza
from tests.provenance.sealing.opening import opened
from tests.provenance.sealing.test_armor import ALLOWED
from tests.provenance.sealing.test_armor import REFUSED as ARMOR
from tests.provenance.sealing.test_header import MALFORMED, raw
from tests.provenance.sealing.test_payload import ALTERED, NONCE

HEADER = header(stanza(["one"], b"1"), X25519Key().stanza(), stanza(["two"], b"2"))
WHOLE = HEADER + payload(b"what is sealed")
ARMORED = armor(WHOLE)


def attempt(data: bytes) -> Attempt:
    return lambda directory: opened(data)


def each(variants: Any) -> Attempt:
    return lambda directory: every(variants(), opened)


def with_another_key(directory: Path) -> bytes:
    return opened(WHOLE, X25519Identity.generate())


TABLE = Table(
    title="Sealed files",
    about="A file in the age format is altered, and opened with the identity that it is sealed for. Chunks are 64 KiB.",
    refused={
        "any one bit": each(lambda: flips(WHOLE)),
        "any one byte, left out": each(lambda: losses(WHOLE)),
        "any one byte, doubled": each(lambda: repeats(WHOLE)),
        "cut off after any byte": each(lambda: cuts(WHOLE)),
        "any one bit of its armor, but where that only makes whitespace of a line's end": each(
            lambda: (one for one in flips(ARMORED) if one.split() != ARMORED.split())
        ),
        "opened with another key": with_another_key,
        "a recipient added": attempt(WHOLE.replace(b"-> two", b"-> new\n\n-> two")),
        "a recipient removed": attempt(WHOLE.replace(stanza(["one"], b"1"), b"")),
        "a recipient renamed": attempt(WHOLE.replace(b"-> one", b"-> uno")),
        "the payload of another file": attempt(header(X25519Key().stanza(b"ANOTHER FILE KEY")) + payload(b"other")),
        "the header of another file": attempt(
            header(X25519Key().stanza(b"ANOTHER FILE KEY"), key=b"ANOTHER FILE KEY") + payload(b"what is sealed")
        ),
        "a code that belongs to another key": attempt(header(X25519Key().stanza(KEY), key=b"ANOTHER FILE KEY")),
        **{f"the payload: {what}": attempt(HEADER + NONCE + b"".join(chunks)) for what, chunks in ALTERED.items()},
        **{f"a recipient's stanza: {what}": attempt(raw(data)) for what, data in MALFORMED.items()},
        **{f"its armor: {what}": attempt(data) for what, data in ARMOR.items()},
    },
    harmless={f"its armor: {what}": attempt(data) for what, data in ALLOWED.items() if "as written" not in what},
)
