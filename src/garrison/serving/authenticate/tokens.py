"""Tokens of OpenID Connect and OAuth (JWT: RFC 7519; best practices: RFC 8725; access tokens: RFC 9068).

In this order, each of which ends it:

1. The token is three parts of base64url, of a bounded length; header and claims are JSON in which no name comes twice.
2. The header has an algorithm and a type that the issuer's configuration allows, and nothing that must be understood
   (`crit`) or that brings or points to a key (`jwk`, `jku`, `x5c`, `x5u`).
3. The issuer is one that is configured; its key by `kid` is of the algorithm's kind and curve.
4. The signature holds.
5. Audience, times, the length of its life, the binding to a certificate, and the one use hold.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from garrison.core.errors import UsageError
from garrison.serving.authenticate.key_sets import KeySet, Unavailable
from garrison.serving.authenticate.settings import Issuer
from garrison.serving.calls import Principal
from garrison.serving.state.store import Store

_LONGEST = 16 << 10
_REMEMBERED = 10_000
_POINTERS = frozenset({"crit", "jwk", "jku", "x5c", "x5u", "x5t", "b64", "zip", "enc"})
_MOST_ROLES = 100


class BadToken(Exception):
    """A token that is not taken; the text is for the record only."""


class _Known:
    """A token that was verified."""

    __slots__ = ("begins", "bound", "expires", "generation", "keys", "principal")

    def __init__(
        self, principal: Principal, begins: float, expires: float, bound: str, keys: KeySet, generation: int
    ) -> None:
        self.principal = principal
        self.begins = begins
        self.expires = expires
        self.bound = bound
        self.keys = keys
        self.generation = generation


class Tokens:
    """Verifies tokens of all configured issuers; those that were verified are remembered until they end."""

    def __init__(
        self,
        issuers: tuple[Issuer, ...],
        store: Store,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises `UsageError` for keys that cannot be read, and for issuers whose principals could be taken for each
        other's."""
        if len({one.prefix for one in issuers}) != len(issuers):
            raise UsageError("authenticate.issuers: several issuers each have a prefix of their own")
        self._issuers = {one.issuer: (one, KeySet(one, monotonic=monotonic)) for one in issuers}
        self._store = store
        self._wall = wall
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    @property
    def key_sets(self) -> list[KeySet]:
        """Of all issuers, for whoever renews them."""
        return [keys for _, keys in self._issuers.values()]

    def take_over(self, other: "Tokens") -> None:
        """Go on with the keys that were fetched for issuers that are configured as before: one that does not answer
        at the moment must not turn a reload into an outage."""
        for name, (issuer, _) in list(self._issuers.items()):
            before = other._issuers.get(name)
            if before is not None and before[0] == issuer and not issuer.jwks_file:
                self._issuers[name] = before

    def known(self, token: str, certificate: bytes | None) -> Principal | None:
        """Whose token it is, if it was verified before and still holds."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = self._known.get(digest)
        if found is None:
            return None
        if (
            not found.begins <= self._wall() < found.expires
            or found.generation != found.keys.generation
            or found.keys.stale()
        ):
            del self._known[digest]
            return None
        if found.bound and not _is_bound(found.bound, certificate):
            raise BadToken("is bound to another certificate")
        return found.principal

    def verify(self, token: str, certificate: bytes | None) -> Principal | Coroutine[Any, Any, Principal]:
        """Whose token it is: at once, or after asking the store or the issuer.

        Raises `BadToken`, and `Unavailable` where the issuer's keys are not to be had.
        """
        header, claims = _opened(token)
        found = self._issuers.get(claims.get("iss", "")) if isinstance(claims.get("iss"), str) else None
        if found is None:
            raise BadToken("is of no issuer that is configured")
        issuer, keys = found
        algorithm, identifier = _header(header, issuer)
        try:
            key = keys.key(algorithm, identifier)
        except Unavailable:
            key = None
        if key is None:
            if not keys.may_ask():
                raise (Unavailable() if keys.due() else BadToken("is signed with a key that is not known"))
            return self._after_asking(token, claims, issuer, keys, algorithm, identifier, certificate)
        return self._with(key, token, claims, issuer, keys, algorithm, certificate)

    async def _after_asking(
        self,
        token: str,
        claims: dict[str, Any],
        issuer: Issuer,
        keys: KeySet,
        algorithm: str,
        identifier: str,
        certificate: bytes | None,
    ) -> Principal:
        await keys.refresh()
        key = keys.key(algorithm, identifier)
        if key is None:
            raise BadToken("is signed with a key that is not known")
        verified = self._with(key, token, claims, issuer, keys, algorithm, certificate)
        return verified if isinstance(verified, Principal) else await verified

    def _with(
        self,
        key: Any,
        token: str,
        claims: dict[str, Any],
        issuer: Issuer,
        keys: KeySet,
        algorithm: str,
        certificate: bytes | None,
    ) -> Principal | Coroutine[Any, Any, Principal]:
        _verify(token, key, algorithm)
        begins, expires = _times(claims, issuer, self._wall())
        if not set(issuer.audiences) & set(_texts(claims.get("aud"))):
            raise BadToken("is for another audience")
        bound = _binding(claims, issuer)
        if bound and not _is_bound(bound, certificate):
            raise BadToken("is bound to another certificate")
        principal = _principal(claims, issuer)
        if issuer.once:
            return self._once(principal, claims, issuer, expires)
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        self._known[digest] = _Known(principal, begins, expires, bound, keys, keys.generation)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return principal

    async def _once(self, principal: Principal, claims: dict[str, Any], issuer: Issuer, expires: float) -> Principal:
        identifier = claims.get("jti")
        if not isinstance(identifier, str) or not 0 < len(identifier) <= 512:
            raise BadToken("has no jti, and is to be used once")
        seen = hashlib.sha256(f"{issuer.issuer}\0{identifier}".encode()).hexdigest()
        if not await self._store.add(f"jti:{seen}", max(1.0, expires - self._wall() + 1)):
            raise BadToken("was used before")
        return principal


def _verify(token: str, key: Any, algorithm: str) -> None:
    from joserfc import jws
    from joserfc.errors import JoseError, SecurityWarning

    try:
        with warnings.catch_warnings():
            # RFC 9864 gives EdDSA a new name; issuers go on to use the old one, and the key says which curve it is.
            warnings.simplefilter("ignore", SecurityWarning)
            jws.deserialize_compact(token, key, algorithms=[algorithm])
    except (JoseError, ValueError, TypeError):
        raise BadToken("has a signature that does not hold") from None


def _opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(token) > _LONGEST or not token.isascii() or token.count(".") != 2:
        raise BadToken("is no token")
    head, body, _ = token.split(".")
    return _json(head), _json(body)


def _json(part: str) -> dict[str, Any]:
    try:
        data = base64.b64decode(part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4), validate=True)
        if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
            raise BadToken("is written in a way that others would read otherwise")
        found = json.loads(data.decode(), object_pairs_hook=_once_each)
    except (ValueError, binascii.Error, RecursionError):
        raise BadToken("is no token") from None
    if not isinstance(found, dict):
        raise BadToken("is no token")
    return found


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _header(header: dict[str, Any], issuer: Issuer) -> tuple[str, str]:
    algorithm, kind, identifier = header.get("alg"), header.get("typ", ""), header.get("kid", "")
    if algorithm not in issuer.algorithms:
        raise BadToken("is signed by an algorithm that is not allowed")
    if kind not in issuer.types:
        raise BadToken("is of a type that is not allowed")
    if pointers := _POINTERS & header.keys():
        raise BadToken(f"has {sorted(pointers)[0]} in its header")
    if not isinstance(identifier, str) or len(identifier) > 256:
        raise BadToken("has no proper key id")
    return str(algorithm), identifier


def _times(claims: dict[str, Any], issuer: Issuer, now: float) -> tuple[float, float]:
    """From when, and until when."""
    expires, issued = _number(claims, "exp"), _number(claims, "iat")
    begins = _number(claims, "nbf")
    if expires is None:
        raise BadToken("never ends")
    if now >= expires + issuer.leeway:
        raise BadToken("has ended")
    if issued is None:
        raise BadToken("does not say when it was issued")
    if issued > now + issuer.leeway or (begins is not None and begins > now + issuer.leeway):
        raise BadToken("has not begun")
    if expires - issued > issuer.longest:
        raise BadToken("lives longer than is allowed")
    return max(issued, begins or 0.0) - issuer.leeway, expires + issuer.leeway


def _number(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise BadToken(f"has a {name} that is no time")
    return float(value)


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values[:_MOST_ROLES] if isinstance(one, str)]


def _binding(claims: dict[str, Any], issuer: Issuer) -> str:
    confirmation = claims.get("cnf")
    if confirmation is None:
        if issuer.bound:
            raise BadToken("is not bound to a certificate")
        return ""
    digest = confirmation.get("x5t#S256") if isinstance(confirmation, dict) else None
    if not isinstance(digest, str) or not digest:
        raise BadToken("is bound to what is not looked at here")
    return digest


def _is_bound(digest: str, certificate: bytes | None) -> bool:
    if certificate is None:
        return False
    actual = base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(actual.encode(), digest.encode("utf-8", "replace"))


def _principal(claims: dict[str, Any], issuer: Issuer) -> Principal:
    name = claims.get(issuer.principal)
    if not isinstance(name, str) or not 0 < len(name) <= 256 or not name.isprintable():
        raise BadToken("names no principal")
    given = claims.get(issuer.roles)
    roles = given.split()[:_MOST_ROLES] if isinstance(given, str) else _texts(given)
    if issuer.role_names:
        roles = [issuer.role_names[role] for role in roles if role in issuer.role_names]
    tenant = claims.get(issuer.tenant) if issuer.tenant else ""
    attributes = {
        ours: value for ours, theirs in issuer.attributes.items() if isinstance(value := claims.get(theirs), str)
    }
    return Principal(
        name=issuer.prefix + name,
        roles=tuple(roles),
        tenant=tenant if isinstance(tenant, str) else "",
        attributes=attributes,
        method="token",
    )
