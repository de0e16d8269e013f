"""Who a client's certificate is of. That it is genuine, TLS has verified; what its names mean is said here."""

import datetime
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from fnmatch import fnmatchcase

from garrison.core.errors import UsageError
from garrison.serving.authenticate.settings import Certificate
from garrison.serving.calls import Principal

_REMEMBERED = 1024


class Certificates:
    """Principals by certificate; those seen last are remembered."""

    def __init__(self, rules: tuple[Certificate, ...], *, wall: Callable[[], float] = time.time) -> None:
        """Raises `UsageError` for a rule that says nothing."""
        for rule in rules:
            if not (rule.uri or rule.dns or rule.sha256):
                raise UsageError("authenticate.certificates: each has a uri, a dns or a sha256 to match")
        self._rules = rules
        self._wall = wall
        self._known: OrderedDict[bytes, tuple[Principal | None, float]] = OrderedDict()

    def find(self, certificate: bytes) -> Principal | None:
        """Whose it is; `None` where no rule says so, or where its time is over."""
        digest = hashlib.sha256(certificate).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = self._read(certificate, digest.hex())
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        principal, expires = known
        # A connection may outlive the certificate that it began with.
        return principal if self._wall() < expires else None

    def _read(self, certificate: bytes, digest: str) -> tuple[Principal | None, float]:
        from cryptography import x509

        try:
            found = x509.load_der_x509_certificate(certificate)
            expires = found.not_valid_after_utc.replace(tzinfo=datetime.UTC).timestamp()
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uris = names.get_values_for_type(x509.UniformResourceIdentifier)
            hosts = names.get_values_for_type(x509.DNSName)
        except x509.ExtensionNotFound:
            uris, hosts = [], []
        except ValueError:
            return None, 0.0
        for rule in self._rules:
            matched = _match(rule, uris, hosts, digest)
            if matched:
                name = rule.principal or matched
                return Principal(name=name, roles=rule.roles, tenant=rule.tenant, method="certificate"), expires
        return None, expires


def _match(rule: Certificate, uris: list[str], hosts: list[str], digest: str) -> str:
    """The name that all of a rule's conditions hold for; empty for none."""
    matched = ""
    if rule.sha256:
        if rule.sha256.replace(":", "").lower() != digest:
            return ""
        matched = digest
    for pattern, names in ((rule.dns, hosts), (rule.uri, uris)):
        if pattern:
            found = next((name for name in names if fnmatchcase(name, pattern)), "")
            if not found:
                return ""
            matched = found
    return matched
