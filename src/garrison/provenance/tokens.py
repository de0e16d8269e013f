"""Keys in tokens (smart cards, hardware security modules, their software stand-ins), which never leave them.

Tokens and their objects are named by URIs of RFC 7512 and spoken to by way of PKCS#11, with the library that the URI's
`module-path` names.

    with opened_token("pkcs11:token=models;object=release?module-path=/usr/lib/softhsm/libsofthsm2.so", ask) as token:
        TokenSigner(token).sign(b"...")
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import msgspec

from garrison.core.errors import UsageError
from garrison.provenance.keys import WrongPassphrase, contents, hash_of, supported

if TYPE_CHECKING:
    import pkcs11
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_PIN_BYTES = 256
_PATH = ("token", "manufacturer", "serial", "model", "slot-id", "object", "id", "type")
_QUERY = ("module-path", "pin-source")
_ATTRIBUTE = re.compile(r"([a-z-]+)=((?:[A-Za-z0-9._~:\[\]@!$'()*+,=/?|&-]|%[0-9A-Fa-f]{2})*)")


class TokenURI(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and perhaps an object in it; an empty value asks for nothing."""

    token: str = ""
    manufacturer: str = ""
    serial: str = ""
    model: str = ""
    slot: int | None = None
    object: str = ""
    id: bytes = b""
    module_path: str
    pin_source: str = ""


class Token:
    """An open session with a token, and the object in it that its URI names."""

    def __init__(self, session: "pkcs11.Session", uri: TokenURI) -> None:
        self.session = session
        self.uri = uri

    def named(self, kind: "pkcs11.ObjectClass", key_type: "pkcs11.KeyType | None" = None) -> Any:
        """The one object of a kind that the URI names. Raises `UsageError` where there is none, or more than one."""
        import pkcs11

        asked: dict[Any, Any] = {pkcs11.Attribute.CLASS: kind}
        if key_type is not None:
            asked[pkcs11.Attribute.KEY_TYPE] = key_type
        if self.uri.object:
            asked[pkcs11.Attribute.LABEL] = self.uri.object
        if self.uri.id:
            asked[pkcs11.Attribute.ID] = self.uri.id
        found = list(self.session.get_objects(asked))
        what = kind.name.lower().replace("_", " ")
        if len(found) != 1:
            raise UsageError(f"the token has {len(found) or 'no'} {what}s that the URI names, and one is needed")
        return found[0]


def parsed(uri: str) -> TokenURI:
    """What a URI asks for. Raises `UsageError` for what RFC 7512 does not allow, or is not known here."""
    scheme, _, rest = uri.partition(":")
    if scheme != "pkcs11":
        raise UsageError(f"{scheme[:20]!r} is no URI of a token: those begin with pkcs11:")
    path, _, query = rest.partition("?")
    found: dict[str, bytes] = {}
    for text, separator, known in ((path, ";", _PATH), (query, "&", _QUERY)):
        for part in filter(None, text.split(separator)):
            name, value = _attribute(part)
            if name in found:
                raise UsageError(f"the token's URI says {name} twice")
            if name not in known:
                raise UsageError(f"the token's URI asks for {name}, which is not known here")
            found[name] = value
    if not found.get("module-path"):
        raise UsageError("the token's URI names no library to reach it with: module-path=")
    try:
        return TokenURI(
            **{
                name: found[name].decode()
                for name in ("token", "manufacturer", "serial", "model", "object")
                if name in found
            },
            slot=int(found["slot-id"]) if "slot-id" in found else None,
            id=found.get("id", b""),
            module_path=os.fsdecode(found["module-path"]),
            pin_source=os.fsdecode(found.get("pin-source", b"")),
        )
    except ValueError:
        raise UsageError("the token's URI has a name that is no UTF-8, or a slot that is no number") from None


@contextlib.contextmanager
def opened_token(uri: str, pin: Callable[[], str | None]) -> Iterator[Token]:
    """A session with the token that the URI names.

    `pin` is asked where the URI names no `pin-source`. Raises `WrongPassphrase` for a wrong PIN or none, and
    `UsageError` for anything else that stands in the way, while the token is in use too.
    """
    try:
        import pkcs11
    except ImportError:
        raise UsageError("tokens need an extra: pip install 'garrison[pkcs11]'") from None

    asked = parsed(uri)
    with _told():
        token = _token(pkcs11.lib(asked.module_path), asked)
        code = _pin_of(asked.pin_source) if asked.pin_source else pin()
        if not code:
            raise WrongPassphrase(f"the token {token.label!r} needs a PIN, and there is none")
        with token.open(user_pin=code) as session:
            yield Token(session, asked)


class TokenSigner:
    """Signs with a key on an elliptic curve that lies in a token; each signature takes a new random number."""

    def __init__(self, token: Token) -> None:
        """Raises `UsageError` where the token lacks a key of the kind, or its public half."""
        import pkcs11

        with _told():
            self._key = token.named(pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.KeyType.EC)
            self._public = public_half(token)

    @property
    def public_key(self) -> "EllipticCurvePublicKey":
        return self._public

    def sign(self, data: bytes) -> bytes:
        """A signature over `data` in DER. Raises `UsageError` where the token refuses."""
        import pkcs11
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
        from cryptography.hazmat.primitives.hashes import Hash

        digest = Hash(hash_of(self._public.curve.name))
        digest.update(data)
        with _told():
            raw = self._key.sign(digest.finalize(), mechanism=pkcs11.Mechanism.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


class TokenAgreement:
    """Agrees on secrets with a key on an elliptic curve that lies in a token (ECDH)."""

    def __init__(self, token: Token) -> None:
        """Raises `UsageError` like `TokenSigner`, and for a key that may not be used so."""
        import pkcs11

        with _told():
            self._key = token.named(pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.KeyType.EC)
            if not isinstance(self._key, pkcs11.DeriveMixin):
                raise UsageError("the token's key is not meant to agree on secrets: it was made without CKA_DERIVE")
            self._public = public_half(token)

    @property
    def public_key(self) -> "EllipticCurvePublicKey":
        return self._public

    def exchange(self, peer: "EllipticCurvePublicKey") -> bytes:
        """The x-coordinate that the agreement with `peer` ends in. Raises `UsageError` where the token refuses."""
        import pkcs11
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        point = peer.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        size = (self._public.curve.key_size + 7) // 8
        with _told():
            agreed = self._key.derive_key(
                pkcs11.KeyType.GENERIC_SECRET,
                size * 8,
                mechanism_param=(pkcs11.KDF.NULL, None, point),
                store=False,
                template={pkcs11.Attribute.SENSITIVE: False, pkcs11.Attribute.EXTRACTABLE: True},
            )
            value = bytes(agreed[pkcs11.Attribute.VALUE])
            agreed.destroy()
        return value


def _attribute(part: str) -> tuple[str, bytes]:
    matched = _ATTRIBUTE.fullmatch(part)
    if not matched:
        raise UsageError(f"the token's URI has a part that cannot be read: {part.partition('=')[0][:40]!r}")
    name, value = matched.groups()
    if name == "pin-value":
        raise UsageError("a PIN on the command line is there for everyone to read: use pin-source, or $GARRISON_PIN")
    if name == "type" and value != "private":
        raise UsageError(f"the token's URI asks for a {value[:20]!r} object, where a private key is needed")
    return name, unquote_to_bytes(value)


def _token(library: Any, asked: TokenURI) -> "pkcs11.Token":
    found = [token for token in library.get_tokens() if _is(token, asked)]
    if len(found) != 1:
        raise UsageError(f"{len(found) or 'no'} tokens are what the URI names, and one is needed")
    return found[0]  # type: ignore[no-any-return]


def _is(token: Any, asked: TokenURI) -> bool:
    serial = token.serial.decode(errors="replace") if isinstance(token.serial, bytes) else str(token.serial)
    return (
        asked.token in ("", token.label)
        and asked.manufacturer in ("", token.manufacturer_id)
        and asked.model in ("", token.model)
        and asked.serial in ("", serial.strip())
        and asked.slot in (None, token.slot.slot_id)
    )


def _pin_of(source: str) -> str:
    """The first line of the file, as RFC 7512, 2.4 has it; a command (`|...`) is not run."""
    if source.startswith("|"):
        raise UsageError("a pin-source that is a command is not run: name a file")
    return (
        contents(source.removeprefix("file:").removeprefix("//"))[:_PIN_BYTES]
        .decode(errors="replace")
        .partition("\n")[0]
    )


def public_half(token: Token) -> "EllipticCurvePublicKey":
    """The public key of the pair that the token's URI names. Raises `UsageError`."""
    import pkcs11
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    public = token.named(pkcs11.ObjectClass.PUBLIC_KEY, pkcs11.KeyType.EC)
    key = supported(load_der_public_key(pkcs11.util.ec.encode_ec_public_key(public)), "the token")
    assert isinstance(key, EllipticCurvePublicKey)
    return key


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What PKCS#11 and its libraries raise, as a `UsageError` in words."""
    import pkcs11

    try:
        yield
    except pkcs11.PinIncorrect:
        raise WrongPassphrase("the token does not open with this PIN") from None
    except pkcs11.PinLocked:
        raise WrongPassphrase("the token is locked after too many wrong PINs") from None
    except pkcs11.PKCS11Error as error:
        said = " ".join(str(error).split())
        raise UsageError(f"token: {type(error).__name__}{f': {said}' if said else ''}") from None
