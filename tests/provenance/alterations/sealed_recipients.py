from collections.abc import Sequence

from garrison.provenance.sealing.passphrase import Passphrase
from garrison.provenance.sealing.stanzas import Identity
from tests.provenance.alterations import Attempt, Table
from tests.provenance.sealing import age_writer
from tests.provenance.sealing.age_writer import HybridKey, X25519Key, b64, header, payload, stanza
from tests.provenance.sealing.opening import HYBRID, X25519, opened
from tests.provenance.sealing.test_tagged import IDENTITY, WRAPPED
from tests.provenance.sealing.test_x25519 import LOW_ORDER

Parts = tuple[Sequence[str], bytes]

WORDS = b"words"
SALT = b64(b"\x22" * 16)


def attempt(parts: Parts, identity: Identity) -> Attempt:
    return lambda directory: opened(header(stanza(*parts)) + payload(b"text"), identity)


def spoilt(arguments: Sequence[str], body: bytes) -> dict[str, Parts]:
    """A stanza whose last argument is base64, spoilt in each way that any kind knows."""
    *first, last = arguments
    return {
        "an argument too many": ([*arguments, "more"], body),
        "an argument too few": (first, body),
        "an argument cut": ([*first, last[:-4]], body),
        "an argument extended": ([*first, f"{last}AAAA"], body),
        "an argument with padding": ([*first, f"{last}="], body),
        "an argument that is no base64": ([*first, "*" * len(last)], body),
        "a body cut": (arguments, body[:-1]),
        "a body extended": (arguments, body + b"\0"),
        "a body with a bit flipped": (arguments, body[:-1] + bytes([body[-1] ^ 1])),
        "an empty body": (arguments, b""),
    }


def rows() -> dict[str, Attempt]:
    share, body = X25519Key().parts()
    encapsulated, wrapped = HybridKey().parts()
    kinds: dict[str, tuple[Sequence[str], bytes, Identity]] = {
        "X25519": (["X25519", b64(share)], body, X25519),
        "mlkem768x25519": (["mlkem768x25519", b64(encapsulated)], wrapped, HYBRID),
        "p256tag": (WRAPPED.arguments, WRAPPED.body, IDENTITY),
    }
    found = {
        f"{kind}: {what}": attempt(parts, identity)
        for kind, (arguments, plain, identity) in kinds.items()
        for what, parts in spoilt(arguments, plain).items()
    }
    for point in LOW_ORDER:
        found[f"X25519: the share {point.hex()[:8]}…, of which nothing is secret"] = attempt(
            (["X25519", b64(point)], body), X25519
        )
        found[f"mlkem768x25519: the share {point.hex()[:8]}…, of which nothing is secret"] = attempt(
            (["mlkem768x25519", b64(encapsulated[:1088] + point)], wrapped), HYBRID
        )
    asked = Passphrase(WORDS)
    key = age_writer.scrypt_parts(WORDS, 2)
    for factor in ("1", "3", "0", "02", "+2", "-2", "2 ", "0x2", "21", "64", f"{1 << 64}"):
        found[f"scrypt: the work factor {factor!r} for 2"] = attempt((["scrypt", SALT, factor], key), asked)
    found["scrypt: another salt"] = attempt((["scrypt", b64(bytes(16)), "2"], key), asked)
    found["scrypt: a body extended"] = attempt((["scrypt", SALT, "2"], key + b"\0"), asked)
    beside = header(age_writer.scrypt_stanza(WORDS, 2), X25519Key().stanza()) + payload(b"text")
    found["scrypt: another recipient beside it"] = lambda directory: opened(beside, X25519)
    return found


TABLE = Table(
    title="Recipients of sealed files",
    about="One recipient's stanza is wrong, in a header that holds together otherwise; the right identity opens it.",
    refused=rows(),
    harmless={},
)
