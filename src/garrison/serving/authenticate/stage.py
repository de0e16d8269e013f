"""Finds out who calls.

1. A caller shows an API key, a token or a certificate. Whoever shows a bad one is refused, even with a good one beside.
2. Of several good ones the key comes first, then the token, then the certificate.
3. Whoever shows nothing is anonymous, and is let in only where that is configured, or to ask if the server is there.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn

from garrison.core.findings import Finding, Severity
from garrison.serving.admit.callers import network
from garrison.serving.authenticate.certificates import Certificates
from garrison.serving.authenticate.key_file import well_formed
from garrison.serving.authenticate.key_sets import Unavailable
from garrison.serving.authenticate.keys import KeyRing
from garrison.serving.authenticate.settings import Authenticate
from garrison.serving.authenticate.tokens import BadToken, Tokens
from garrison.serving.authorise.stage import OPEN
from garrison.serving.calls import ANONYMOUS, Action, Answer, Call, Mark, Principal
from garrison.serving.config.config import Config, Model
from garrison.serving.incidents import Incident
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services
from garrison.serving.stages import OnFailure

_WINDOW = 60.0
_PEERS = 4096
_WHO = "show a valid key, token or certificate"
_KEY = "garrison_"


class AuthenticateStage:
    name = "authenticate"
    on_failure: OnFailure = "closed"

    def __init__(self, settings: Authenticate, *, open_health: bool, services: Services) -> None:
        """Raises `UsageError` for keys that cannot be read."""
        self._keys = (
            KeyRing(
                settings.keys, wall=services.wall, monotonic=services.monotonic, unreadable=self._unreadable(services)
            )
            if settings.keys
            else None
        )
        self._tokens = (
            Tokens(settings.issuers, services.store, wall=services.wall, monotonic=services.monotonic)
            if settings.issuers
            else None
        )
        self._certificates = Certificates(settings.certificates, wall=services.wall) if settings.certificates else None
        self._anonymous = Principal(name="anonymous", roles=settings.anonymous.roles) if settings.anonymous else None
        self._open = OPEN if open_health else frozenset[str]()
        self._failures = _Failures(settings.attempts, services)

    @property
    def tokens(self) -> Tokens | None:
        """For whoever renews the issuers' keys."""
        return self._tokens

    def head(self, call: Call) -> None:
        """Refuse by the head alone whom no body would let in. A token of which the issuer or the store is to be asked
        is looked at once the body is there."""
        known, found = self._shown(call)
        if known is None or isinstance(known, Principal):
            self._settle(call, found or known)
        else:
            known.close()

    def before(self, call: Call) -> Awaitable[None] | None:
        known, found = self._shown(call)
        if known is None or isinstance(known, Principal):
            self._settle(call, found or known)
            return None
        return self._later(call, known, found)

    def _shown(self, call: Call) -> "tuple[Principal | Coroutine[Any, Any, Principal] | None, Principal | None]":
        """Who its token says that it is, or what is to be waited for to know; and who the rest says that it is."""
        headers = call.headers
        authorization, key = headers.get("authorization"), headers.get("x-api-key")
        token = None
        if authorization is not None:
            scheme, _, value = authorization.partition(" ")
            if scheme.lower() != "bearer" or not value or value != value.strip() or "," in value:
                self._refuse(call, "an authorization that is none")
            if value.startswith(_KEY):
                if key is not None and key != value:
                    self._refuse(call, "two different keys")
                key = value
            else:
                token = value
        found: Principal | None = None
        if key is not None:
            found = self._by_key(call, key)
        if self._certificates is not None and call.peer.certificate is not None:
            shown = self._certificates.find(call.peer.certificate)
            if shown is None:
                self._refuse(call, "a certificate that is nobody's, or has ended")
            found = found or (shown if token is None else None)
        return (self._by_token(call, token) if token is not None else None), found

    def after(self, call: Call, answer: Answer) -> None:
        pass

    def _settle(self, call: Call, found: Principal | None) -> None:
        found = found or self._anonymous
        if found is None:
            if call.action is Action.HEALTH and call.operation in self._open:
                found = ANONYMOUS
            else:
                raise Refused(Reason.UNAUTHENTICATED, _WHO)
        call.principal = found

    def _by_key(self, call: Call, text: str) -> Principal:
        found = self._keys.find(text) if self._keys is not None else None
        if found is None:
            self._refuse(call, "a key that is not good" if well_formed(text) else "a key that is none")
        return found[0]

    def _by_token(self, call: Call, token: str) -> Principal | Coroutine[Any, Any, Principal]:
        if self._tokens is None:
            self._refuse(call, "a token, and none are taken")
        try:
            known = self._tokens.known(token, call.peer.certificate)
            if known is not None:
                return known
            if self._failures.many(call.peer.address):
                raise Refused(Reason.LIMITED, "too many bad credentials from this address", retry_after=_WINDOW)
            return self._tokens.verify(token, call.peer.certificate)
        except BadToken as error:
            self._refuse(call, f"a token that {error}")
        except Unavailable:
            raise Refused(Reason.FAILED, "tokens cannot be checked at the moment", retry_after=10) from None

    async def _later(self, call: Call, waiting: Awaitable[Principal], found: Principal | None) -> None:
        try:
            by_token = await waiting
        except BadToken as error:
            self._refuse(call, f"a token that {error}")
        except Unavailable:
            raise Refused(Reason.FAILED, "tokens cannot be checked at the moment", retry_after=10) from None
        self._settle(call, found or by_token)

    def _refuse(self, call: Call, why: str) -> NoReturn:
        self._failures.count(call.peer.address)
        raise Refused(Reason.UNAUTHENTICATED, _WHO, mark=Mark(rule="bad-credential", message=why))

    @staticmethod
    def _unreadable(services: Services) -> Callable[[str], None]:
        def report(why: str) -> None:
            finding = Finding(
                rule="keys-unreadable",
                severity=Severity.HIGH,
                subject="guard",
                message=f"the file of keys has changed and cannot be read; the keys before it count on: {why}",
                fix="Mend the file, or put the one before back.",
            )
            services.report(Incident(finding=finding, time=services.wall()))

        return report


class _Failures:
    """Bad credentials by address, for a minute; of so many addresses that nobody fills the memory. Of IPv6 a network
    of 64 bits counts as one, since whoever has one of its addresses has them all."""

    def __init__(self, most: int, services: Services) -> None:
        self._most = most
        self._services = services
        self._peers: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, address: str) -> None:
        address = network(address)
        now = self._services.monotonic()
        began, count = self._peers.pop(address, (now, 0))
        if now - began >= _WINDOW:
            began, count = now, 0
        self._peers[address] = (began, count + 1)
        if len(self._peers) > _PEERS:
            self._peers.popitem(last=False)
        if count + 1 == self._most:
            finding = Finding(
                rule="credential-guessing",
                severity=Severity.MEDIUM,
                subject="guard",
                place=address,
                message=f"{self._most} bad credentials came from {address or 'one address'} within a minute",
                fix="Find out who is there; block the address before the guard if it is nobody of yours.",
            )
            self._services.report(Incident(finding=finding, time=self._services.wall()))

    def many(self, address: str) -> bool:
        found = self._peers.get(network(address))
        return found is not None and found[1] >= self._most and self._services.monotonic() - found[0] < _WINDOW


def stage(config: Config, model: Model | None, services: Services) -> AuthenticateStage:
    """The stage, the same for all models. Raises `UsageError`."""
    return AuthenticateStage(config.authenticate, open_health=config.authorise.open_health, services=services)
