"""The header of a sealed file: who can open it, and a code that holds it together.

Source: https://age-encryption.org/v1, section "Header" and its grammar.
"""

import hmac
import re
from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from garrison.core.errors import UsageError
from garrison.provenance.sealing.encoding import base64_bytes, base64_text
from garrison.provenance.sealing.refusals import AlteredHeader, MalformedHeader, NoMatch
from garrison.provenance.sealing.stanzas import FILE_KEY, Identity, Recipient, Stanza, derived

VERSION = b"age-encryption.org/v1\n"
ANY_VERSION = b"age-encryption.org/"
_ALONE = "scrypt"
"""The kind of stanza that stands alone in its header: whoever knows the passphrase is who sealed the file."""
_COLUMNS = 64
_BYTES = 1 << 20
"""The longest header: some five hundred post-quantum recipients."""
_STANZAS = 1000
"""The most recipients, since each may cost an identity a multiplication on a curve."""
_ARGUMENTS = re.compile(rb"-> [!-~]+(?: [!-~]+)*\n").fullmatch
_MAC = re.compile(rb"--- ([A-Za-z0-9+/]{43})\n").fullmatch


class Header(msgspec.Struct, frozen=True):
    stanzas: tuple[Stanza, ...]
    authenticated: bytes
    """What the code is over."""
    mac: bytes


def read(file: BinaryIO, first: bytes) -> Header:
    """The header whose first line has been read; the payload follows in `file`. Raises `MalformedHeader`."""
    if first != VERSION:
        if first.startswith(ANY_VERSION):
            raise MalformedHeader("it is sealed in a version of the age format that is not read here")
        raise MalformedHeader("no file in the age format")
    reader = _Lines(file, first)
    stanzas: list[Stanza] = []
    while True:
        line = reader.next()
        if line.startswith(b"---"):
            break
        if len(stanzas) == _STANZAS:
            raise MalformedHeader(f"more than {_STANZAS} recipients")
        stanzas.append(_stanza(line, reader))
    found = _MAC(line)
    try:
        mac = base64_bytes(found[1]) if found else None
    except ValueError:
        mac = None
    if mac is None:
        raise MalformedHeader("the last line of its header is malformed")
    if not stanzas:
        raise MalformedHeader("its header names no recipient")
    if len(stanzas) > 1 and any(stanza.kind == _ALONE for stanza in stanzas):
        raise MalformedHeader("a passphrase stands beside other recipients")
    return Header(tuple(stanzas), b"".join(reader.lines[:-1]) + b"---", mac)


class _Lines:
    """The lines of a header, which is neither endless nor cut off."""

    def __init__(self, file: BinaryIO, first: bytes) -> None:
        self._file = file
        self._left = _BYTES
        self.lines = [first]

    def next(self) -> bytes:
        line = self._file.readline(self._left)
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise MalformedHeader("its header is too long" if not self._left else "its header breaks off")
        self.lines.append(line)
        return line


def _stanza(line: bytes, reader: _Lines) -> Stanza:
    if not _ARGUMENTS(line):
        raise MalformedHeader("a stanza of its header begins with a malformed line")
    body = []
    while True:
        part = reader.next()[:-1]
        if len(part) > _COLUMNS:
            raise MalformedHeader(f"a stanza with a line of more than {_COLUMNS} characters")
        body.append(part)
        if len(part) < _COLUMNS:
            break
    try:
        return Stanza(tuple(line[3:-1].decode().split(" ")), base64_bytes(b"".join(body)))
    except ValueError as error:
        raise MalformedHeader(f"a stanza whose body is {error}") from None


def file_key(header: Header, identities: Sequence[Identity]) -> bytes:
    """The key that one of the identities unwraps and that the whole header agrees with.

    Raises `NoMatch`, `AlteredHeader`, and what `Identity.unwrap` raises.
    """
    for identity in identities:
        for stanza in header.stanzas:
            key = identity.unwrap(stanza)
            if key is None:
                continue
            if not hmac.compare_digest(_code(key, header.authenticated), header.mac):
                raise AlteredHeader("its header was altered")
            return key
    rest = "; it is sealed with a passphrase" if header.stanzas[0].kind == _ALONE else ""
    raise NoMatch(f"none of the identities opens it{rest}")


def written(key: bytes, recipients: Sequence[Recipient]) -> bytes:
    """A header that wraps `key` for each of the recipients. Raises `UsageError` for recipients that do not mix."""
    check(recipients)
    parts = [VERSION]
    for recipient in recipients:
        stanza = recipient.wrap(key)
        body = base64_text(stanza.body)
        parts.append(f"-> {' '.join(stanza.arguments)}\n".encode())
        # A body that fills its last line is followed by an empty one.
        parts += [body[at : at + _COLUMNS] + b"\n" for at in range(0, len(body) + 1, _COLUMNS)]
    authenticated = b"".join(parts) + b"---"
    if len(authenticated) > _BYTES - _COLUMNS:
        raise UsageError("its header would be longer than what is read here; name fewer recipients")
    return b"%s %s\n" % (authenticated, base64_text(_code(key, authenticated)))


def check(recipients: Sequence[Recipient]) -> None:
    """Raise `UsageError` where a file may not have these recipients together."""
    kinds = {recipient.company for recipient in recipients}
    if not recipients:
        raise UsageError("there is no recipient")
    if len(recipients) > _STANZAS:
        raise UsageError(f"more than {_STANZAS} recipients")
    if "none" in kinds and len(recipients) > 1:
        raise UsageError("a passphrase cannot stand beside other recipients")
    if len(kinds) > 1:
        raise UsageError(
            "post-quantum recipients cannot stand beside others, through which a quantum computer would open the file"
        )


def _code(key: bytes, authenticated: bytes) -> bytes:
    if len(key) != FILE_KEY:
        raise MalformedHeader(f"a file key of {len(key)} bytes, not {FILE_KEY}")
    return hmac.digest(derived(key, b"", b"header"), authenticated, "sha256")
