"""Keys as text: a recipient, an identity, and files of either as `age-keygen` writes them.

A mistake is told by file and line, never with what stands in the line: it may be a secret.
"""

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from garrison.core.errors import UsageError
from garrison.provenance.keys import contents, load_public_key
from garrison.provenance.sealing import hybrid, tagged, x25519
from garrison.provenance.sealing.armor import BEGIN
from garrison.provenance.sealing.encoding import bech32_bytes
from garrison.provenance.sealing.header import ANY_VERSION
from garrison.provenance.trust import Refused

if TYPE_CHECKING:
    from garrison.provenance.sealing.stanzas import Identity, Recipient

Key = TypeVar("Key")

_PEM, _PEM_END = b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----"

KeyPair = x25519.X25519Identity | hybrid.HybridIdentity
KINDS: dict[str, Callable[[], KeyPair]] = {
    "x25519": x25519.X25519Identity.generate,
    "hybrid": hybrid.HybridIdentity.generate,
}
"""What makes a new key, by the names of the kinds."""


def generated(kind: str, passphrase: bytes | None) -> tuple[bytes, bytes]:
    """A new identity and its recipient as contents of files, the identity sealed if a passphrase is given."""
    key = KINDS[kind]()
    text = f"# public key: {key.recipient}\n{key}\n".encode()
    if passphrase:
        from garrison.provenance.sealing.passphrase import Passphrase
        from garrison.provenance.sealing.sealed_file import seal

        sealed = io.BytesIO()
        seal(io.BytesIO(text), sealed, [Passphrase(passphrase)], armored=True)
        text = sealed.getvalue()
    return text, f"{key.recipient}\n".encode()


def recipient(text: str) -> "Recipient":
    """A recipient from its line of text, `age1…`. Raises `UsageError`."""
    prefix, data = _decoded(text, "recipient")
    readers: dict[str, Callable[[bytes], Recipient]] = {
        x25519.RECIPIENT: x25519.X25519Recipient,
        hybrid.RECIPIENT: hybrid.HybridRecipient,
        tagged.RECIPIENT: tagged.TaggedRecipient.from_point,
    }
    if prefix not in readers:
        raise UsageError(f"{_what(prefix)}, where a recipient is asked for (age1…, age1pq1… or age1tag1…)")
    try:
        return readers[prefix](data)
    except ValueError:
        raise UsageError("the recipient holds no valid key") from None


def identity(text: str) -> KeyPair:
    """An identity from its line of text, `AGE-SECRET-KEY-…`. Raises `UsageError`, which does not repeat it."""
    if text.upper() != text:
        raise UsageError("an identity is written in upper case, and this is not one")
    prefix, data = _decoded(text, "identity")
    readers: dict[str, Callable[[bytes], KeyPair]] = {
        x25519.IDENTITY: x25519.X25519Identity,
        hybrid.IDENTITY: hybrid.HybridIdentity,
    }
    if prefix not in readers:
        raise UsageError(f"{_what(prefix)}, where an identity is asked for (AGE-SECRET-KEY-…)")
    try:
        return readers[prefix](data)
    except ValueError:
        raise UsageError("the identity holds no valid key") from None


def _decoded(text: str, what: str) -> tuple[str, bytes]:
    if text.startswith("ssh-") or "PRIVATE KEY" in text:
        raise UsageError("keys of SSH are not used for sealing; `garrison key generate` makes one that is")
    try:
        return bech32_bytes(text)
    except ValueError as error:
        raise UsageError(f"no {what} that can be read: {error}") from None


def _what(prefix: str) -> str:
    if prefix.startswith("age-secret-key-"):
        return "a secret key"
    if prefix.startswith("age-plugin-"):
        return "an identity of a plugin, which is not run"
    if prefix.startswith("age1"):
        return "a recipient of a plugin, which is not run"
    return "a recipient" if prefix == x25519.RECIPIENT else "a key of another kind"


def recipients_file(path: str) -> "list[Recipient]":
    """The recipients in a file, one a line; or one as a public key on P-256 in PEM. Raises `UsageError`."""
    data = contents(path)
    if _PEM in data:
        if not (data.lstrip().startswith(_PEM) and data.rstrip().endswith(_PEM_END)):
            raise UsageError(f"{path}: a public key in PEM stands alone in its file")  # or the rest would not count
        return [_of_public_key(path)]
    return [_placed(path, number, recipient, line) for number, line in _lines(path, data)]


def _of_public_key(path: str) -> "Recipient":
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    key = load_public_key(path)
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise UsageError(f"{path}: files are sealed for public keys on P-256 alone")
    return tagged.TaggedRecipient(key)


def identity_file(path: str, passphrase: Callable[[], bytes | None]) -> "list[Identity]":
    """The identities in a file, one a line; `passphrase` is asked where it is itself sealed with one.

    Raises `UsageError`.
    """
    data = contents(path)
    if data.startswith(ANY_VERSION) or data.lstrip().startswith(BEGIN):
        data = _unsealed(path, data, passphrase)
    return [_placed(path, number, identity, line) for number, line in _lines(path, data)]


def _unsealed(path: str, data: bytes, passphrase: Callable[[], bytes | None]) -> bytes:
    from garrison.provenance.sealing.passphrase import Passphrase
    from garrison.provenance.sealing.sealed_file import unseal

    opened = io.BytesIO()
    try:
        given = passphrase()
        if not given:
            raise UsageError(f"{path}: the identity file is sealed, and there is no passphrase")
        unseal(io.BytesIO(data), opened, [Passphrase(given)])
    except Refused as error:
        raise UsageError(f"{path}: the identity file does not open with this passphrase: {error}") from None
    return opened.getvalue()


def _placed(path: str, number: int, read: "Callable[[str], Key]", line: str) -> "Key":
    try:
        return read(line)
    except UsageError as error:
        raise UsageError(f"{path} line {number}: {error}") from None


def _lines(path: str, data: bytes) -> Iterator[tuple[int, str]]:
    """The lines that are neither empty nor comments, by number."""
    lines = enumerate(data.decode("utf-8", "replace").split("\n"), 1)
    found = [(number, line.strip()) for number, line in lines if line.strip() and not line.startswith("#")]
    if not found:
        raise UsageError(f"{path}: there is no key in it")
    return iter(found)
