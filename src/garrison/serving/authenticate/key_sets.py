"""An issuer's public keys (RFC 7517): from a file, or from where its discovery document says, kept and renewed.

Nobody but the configuration says where keys are: what a token itself points to is never fetched. An unknown key makes
one look at the issuer, at most once in a while, so that made-up tokens cannot make the guard hammer it.
"""

import asyncio
import json
import ssl
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from garrison.core.errors import UsageError, first_line
from garrison.core.files import contents
from garrison.serving.authenticate.settings import Issuer
from garrison.sources.connections import allowed, loopback, masked, said, user_agent

_MOST = 1 << 20
_MOST_KEYS = 256
_SECONDS = 5.0
_PAUSE = 10.0
"""The least seconds between two looks at an issuer, whatever tokens say."""
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
_LEAST_BITS = 2048


class Unavailable(Exception):
    """The issuer's keys are not known, and not to be had now."""


class KeySet:
    """The keys of one issuer, by their ids."""

    def __init__(self, issuer: Issuer, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Raises `UsageError` for a file of keys that is none, and for an address that is not asked."""
        self.generation = 0
        """Grows when keys change, so that nothing is trusted for longer than the key that it was signed with."""
        self._issuer = issuer
        self._monotonic = monotonic
        self._keys: dict[str, dict[str, Any]] = {}
        self._imported: dict[tuple[str, str], Any] = {}
        self._fetched: float | None = None
        self._asked: float | None = None
        self._asking: asyncio.Task[None] | None = None
        if issuer.jwks_file:
            self._take(contents(issuer.jwks_file, _MOST), issuer.jwks_file)
        else:
            _address(issuer.jwks_uri or issuer.issuer)

    def key(self, algorithm: str, identifier: str) -> Any:
        """The key with an id for an algorithm, or the only one; `None` where there is none.

        Raises `Unavailable` where the issuer has not answered for too long.
        """
        if self.stale():
            raise Unavailable
        if not identifier:
            fitting = [name for name, key in self._keys.items() if _fits(key, algorithm)]
            if len(fitting) != 1:
                return None
            identifier = fitting[0]
        found = self._keys.get(identifier)
        if found is None or not _fits(found, algorithm):
            return None
        imported = self._imported.get((identifier, algorithm))
        if imported is None:
            from joserfc.jwk import import_key

            imported = self._imported[identifier, algorithm] = import_key(found)
        return imported

    def stale(self) -> bool:
        """Whether the issuer has not answered for so long that its keys count no more."""
        if self._issuer.jwks_file:
            return False
        longest = max(self._issuer.stale, self._issuer.refresh)
        return self._fetched is None or self._monotonic() - self._fetched > longest

    def due(self) -> bool:
        """Whether it is time to look at the issuer."""
        if self._issuer.jwks_file:
            return False
        return self._fetched is None or self._monotonic() - self._fetched >= self._issuer.refresh

    def may_ask(self) -> bool:
        """Whether the issuer may be asked again because of a token."""
        if self._issuer.jwks_file:
            return False
        return self._asking is not None or self._asked is None or self._monotonic() - self._asked >= _PAUSE

    async def refresh(self) -> None:
        """Ask the issuer, once for all who want to know. What was known stays where it does not answer.

        Raises `Unavailable` with the reason.
        """
        if self._asking is None:
            self._asked = self._monotonic()
            self._asking = asyncio.get_running_loop().create_task(self._fetch())
            self._asking.add_done_callback(self._forget)
        await asyncio.shield(self._asking)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # told to whoever waited

    async def _fetch(self) -> None:
        try:
            data = await asyncio.wait_for(asyncio.to_thread(_fetched, self._issuer), 3 * _SECONDS)
            self._take(data, self._issuer.issuer)
        except UsageError as error:
            raise Unavailable(str(error)) from None
        except TimeoutError:
            raise Unavailable(f"{masked(self._issuer.issuer)}: no answer in time") from None
        self._fetched = self._monotonic()

    def _take(self, data: bytes, where: str) -> None:
        keys = _parsed(data, where)
        if keys != self._keys:
            self._keys, self._imported = keys, {}
            self.generation += 1


def _parsed(data: bytes, where: str) -> dict[str, dict[str, Any]]:
    """Public keys that sign, by id; what is none of those is left out. Raises `UsageError`."""
    try:
        document = json.loads(data)
        listed = document["keys"]
        assert isinstance(listed, list)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        raise UsageError(f"{masked(where)}: no set of keys (JWKS)") from None
    if len(listed) > _MOST_KEYS:
        raise UsageError(f"{masked(where)}: more than {_MOST_KEYS} keys")
    found: dict[str, dict[str, Any]] = {}
    for number, key in enumerate(listed):
        if not isinstance(key, dict) or key.get("kty") not in ("RSA", "EC", "OKP"):
            continue
        operations = key.get("key_ops", ["verify"])
        if key.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
            continue
        public = {name: value for name, value in key.items() if name in _PUBLIC and isinstance(value, str)}
        found[str(key.get("kid") or f"({number})")] = public
    if not found:
        raise UsageError(f"{masked(where)}: has no public key that signs")
    return found


_PUBLIC = frozenset({"kty", "alg", "n", "e", "crv", "x", "y"})


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    """Whether a key may be used with an algorithm: of its kind and curve, long enough, and not meant for another."""
    if key["kty"] != _KINDS[algorithm[:2]] or key.get("alg", algorithm) != algorithm:
        return False
    if key["kty"] == "RSA":
        return len(str(key.get("n", ""))) * 6 >= _LEAST_BITS - 8
    return key.get("crv") == _CURVES[algorithm]


def _address(url: str) -> urllib.parse.SplitResult:
    try:
        parts = allowed(url, urllib.parse.urlsplit(url).hostname or "", "issuer")
    except ValueError as error:
        raise UsageError(f"authenticate.issuers: {masked(url)}: {error}") from None
    if parts.scheme != "https" and not loopback(parts.hostname or ""):
        raise UsageError(f"{masked(url)}: keys are fetched by https only")
    return parts


def _fetched(issuer: Issuer) -> bytes:
    """The set of keys. Raises `UsageError`."""
    address = issuer.jwks_uri
    if not address:
        discovery = f"{issuer.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            document = json.loads(_got(discovery, issuer.authorities))
            address = document["jwks_uri"]
            if document["issuer"] != issuer.issuer or not isinstance(address, str):
                raise UsageError(f"{masked(discovery)}: is the document of another issuer")
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(f"{masked(discovery)}: no discovery document") from None
        if loopback(_address(address).hostname or "") and not loopback(_address(discovery).hostname or ""):
            raise UsageError(f"{masked(discovery)}: names keys on this machine")
    return _got(address, issuer.authorities)


def _got(url: str, authorities: str) -> bytes:
    """The body at an address, without redirects or proxies. Raises `UsageError`."""
    import http.client

    parts = _address(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=authorities or None)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        connection.request("GET", target, headers={"Accept": "application/json", "User-Agent": user_agent()})
        with connection.getresponse() as response:
            data = response.read(_MOST + 1)
    except (OSError, http.client.HTTPException) as error:
        raise UsageError(f"{masked(url)} does not answer: {said(error)}") from None
    except ValueError as error:
        raise UsageError(f"{masked(url)}: {first_line(error)}") from None
    finally:
        connection.close()
    if response.status != 200 or len(data) > _MOST:
        raise UsageError(f"{masked(url)} answers {response.status}, and no document of a usual length")
    return data
