"""The file of API keys: who has which, until when. It holds no key, only what a key is told by.

A key is `garrison_ID_SECRET` with 256 random bits and a checksum, so that a slip of the pen is told from a guess and
scanners for secrets know it. Of these bits a plain SHA-256 is enough: there is nothing to guess.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
import zlib
from collections.abc import Iterator
from typing import Annotated

import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import contents, replacing

_MOST = 1 << 26
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX = "garrison_"
_SECRET_LENGTH = 43
_CHECK_LENGTH = 6
_LONGEST = 1000 * 366 * 86400.0
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", omit_defaults=True):
    """What is known of a key."""

    id: Text
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    """Of the whole key."""
    principal: Text
    roles: tuple[str, ...] = ()
    tenant: str = ""
    attributes: dict[str, str] = {}
    created: float = 0.0
    """Times are in seconds since 1970."""
    begins: float = 0.0
    expires: float | None = None
    revoked: bool = False

    def good(self, now: float) -> bool:
        """Whether it may be used."""
        return not self.revoked and self.begins <= now and (self.expires is None or now < self.expires)


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    version: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    keys: list[Key] = []


def read(path: str) -> list[Key]:
    """All keys. Raises `UsageError` for a file that is none, that is torn, or that others may write."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if mode & 0o022:
        raise UsageError(f"{path}: others may write it (chmod go-w {path})")
    try:
        found = msgspec.json.decode(contents(path, _MOST), type=_File)
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: no file of keys: {error}") from None
    if len({key.id for key in found.keys}) != len(found.keys):
        raise UsageError(f"{path}: two keys have the same id")
    return found.keys


def create(
    path: str,
    principal: str,
    *,
    roles: tuple[str, ...] = (),
    tenant: str = "",
    attributes: dict[str, str] | None = None,
    lifetime: float | None = None,
    now: float | None = None,
) -> tuple[Key, str]:
    """Add a key, to a file that is made where there is none; the key itself is returned and written nowhere.

    `lifetime` is in seconds. Raises `UsageError`.
    """
    now = time.time() if now is None else now
    if lifetime is not None and not 0 < lifetime < _LONGEST:
        raise UsageError("a key lives for longer than that, and for less than a thousand years")
    if not principal or not principal.isprintable() or len(principal) > 256:
        raise UsageError(f"{principal[:40]!r} names no principal")
    with _editing(path) as keys:
        text = _new(secrets.token_hex(4))
        key = Key(
            id=text.split("_")[1],
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            principal=principal,
            roles=roles,
            tenant=tenant,
            attributes=attributes or {},
            created=now,
            expires=None if lifetime is None else now + lifetime,
        )
        keys.append(key)
    return key, text


def rotate(path: str, identifier: str, *, overlap: float, now: float | None = None) -> tuple[Key, str]:
    """Another key for the same principal; the old one is good for `overlap` more seconds. Raises `UsageError`."""
    now = time.time() if now is None else now
    if not 0 <= overlap < _LONGEST:
        raise UsageError("the old key ends now or later, and within a thousand years")
    with _editing(path) as keys:
        place = _place(keys, identifier, path)
        old = keys[place]
        if not old.good(now):
            raise UsageError(f"{path}: the key {identifier} is not good any more; create one")
        text = _new(secrets.token_hex(4))
        lifetime = None if old.expires is None else max(old.expires - max(old.created, old.begins), 1.0)
        key = msgspec.structs.replace(
            old,
            id=text.split("_")[1],
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            created=now,
            begins=0.0,
            expires=None if lifetime is None else now + lifetime,
        )
        ends = now + overlap
        keys[place] = msgspec.structs.replace(old, expires=ends if old.expires is None else min(ends, old.expires))
        keys.append(key)
    return key, text


def revoke(path: str, identifier: str) -> Key:
    """End a key at once. Raises `UsageError`."""
    with _editing(path) as keys:
        place = _place(keys, identifier, path)
        keys[place] = msgspec.structs.replace(keys[place], revoked=True)
        return keys[place]


def well_formed(text: str) -> bool:
    """Whether a text is a key, by its form and its checksum; tells nothing of whether there is such a key."""
    body, check = text[:-_CHECK_LENGTH], text[-_CHECK_LENGTH:]
    return text.startswith(_PREFIX) and len(text) < 128 and text.isascii() and check == _check(body)


def _new(identifier: str) -> str:
    secret = "".join(secrets.choice(_DIGITS) for _ in range(_SECRET_LENGTH))
    body = f"{_PREFIX}{identifier}_{secret}"
    return body + _check(body)


def _check(body: str) -> str:
    value, digits = zlib.crc32(body.encode("ascii", "replace")), ""
    for _ in range(_CHECK_LENGTH):
        value, digit = divmod(value, 62)
        digits = _DIGITS[digit] + digits
    return digits


def _place(keys: list[Key], identifier: str, path: str) -> int:
    for place, key in enumerate(keys):
        if key.id == identifier:
            return place
    raise UsageError(f"{path}: no key has the id {identifier[:40]!r}")


@contextlib.contextmanager
def _editing(path: str) -> Iterator[list[Key]]:
    """The keys, to be changed; written whole when the block ends, one writer at a time."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = read(path) if os.path.exists(path) else []
        yield keys
        try:
            with replacing(path) as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(msgspec.json.format(msgspec.json.encode(_File(keys=keys))) + b"\n")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
    finally:
        os.close(lock)
