"""A client of registries: manifests, blobs and what refers to them, every byte held against its digest.

Sources: OCI distribution specification 1.1; Docker's "Token Authentication Specification"; `config.json` of Docker's
command line.
"""

import base64
import binascii
import contextlib
import hashlib
import math
import os
import re
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import msgspec

from garrison.core.errors import ExaminationError, LimitExceeded
from garrison.sources.connections import allowed, basic, loopback, masked
from garrison.sources.oci import connection
from garrison.sources.oci.connection import Exchange, Head, Unreachable
from garrison.sources.oci.documents import INDEXES, LONGEST, MANIFESTS, Descriptor, index, read, table, text
from garrison.sources.oci.reference import Reference
from garrison.sources.reader import BytesReader

_ACCEPT = ", ".join((*INDEXES, *MANIFESTS, "*/*"))
_SECONDS = 60.0
_SLOWEST = 64 << 10
"""Bytes a second that a server must send of a blob, over all of it."""
_TRIES = 3
_WAIT = 0.5
_BUSY = (429, 500, 502, 503, 504)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_NEXT = re.compile(r'<([^<>]*)>\s*;\s*rel="?next"?')
_PAGES = 16
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")


class Refused(Unreachable):
    """A registry says that it will not, so that asking again is of no use."""


class Missing(Refused):
    """A registry says that there is no such thing."""


class WrongDigest(ExaminationError):
    """A registry gave other bytes than it was asked for."""


class Registry:
    """The registry of one reference."""

    def __init__(self, reference: Reference, seconds: float = math.inf) -> None:
        """`seconds` is how long all that is asked of it may take together."""
        self._reference = reference
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        host = urllib.parse.urlsplit(f"//{reference.host}").hostname or ""
        self._base = f"{'http' if loopback(host) else 'https'}://{reference.host}"
        self._home = urllib.parse.urlsplit(self._base).netloc
        self._login = _login(reference)
        self._authorization: dict[str, str] = {}

    def manifest(self, wanted: str) -> tuple[bytes, str, str]:
        """The document, its media type and its digest. Raises `Unreachable`, or `WrongDigest`."""
        url = f"{self._base}/v2/{self._reference.repository}/manifests/{wanted}"
        body, told = self._patiently(url, wanted)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if ":" in wanted:
            algorithm = wanted.partition(":")[0]
            digest = f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"
            if digest != wanted:
                raise WrongDigest(f"asked for the manifest {wanted}, the registry gave {digest}")
        return body, told.get("content-type", "").partition(";")[0].strip(), digest

    def referrers(self, digest: str) -> list[Descriptor]:
        """The manifests that say that they are about the one with this digest; empty where there are none.

        Asks as "Listing Referrers" of the distribution specification says, and a registry without that as its
        "Referrers Tag Schema" does. Raises `Unreachable`, and `ExaminationError` for an answer that is no index.
        """
        url = f"{self._base}/v2/{self._reference.repository}/referrers/{digest}"
        found: list[Descriptor] = []
        try:
            for _ in range(_PAGES):
                body, told = self._patiently(url, f"referrers of {digest}")
                found += _listed(body)
                following = _NEXT.search(told.get("link", ""))
                if not following:
                    return found
                url = connection.joined(url, following[1])
                if not self._is_home(url):
                    raise Refused(f"{self._name(digest)}: its list of referrers goes on elsewhere")
        except Missing:
            try:
                return _listed(self.manifest(digest.replace(":", "-", 1))[0])
            except Missing:
                return []
        raise LimitExceeded("members", f"a list of referrers of more than {_PAGES} pages")

    def _patiently(self, url: str, wanted: str) -> tuple[bytes, Mapping[str, str]]:
        for attempt in range(1, _TRIES + 1):
            try:
                with self._get(url, {"Accept": _ACCEPT}, _SECONDS) as exchange:
                    status = exchange.head.status
                    if status == 200:
                        return exchange.body(LONGEST), exchange.head.headers
                    if status not in _BUSY or attempt == _TRIES:
                        kind = Missing if status == 404 else Refused
                        raise kind(f"{self._name(wanted)}: {_refusal(status)}")
            except Refused:
                raise
            except Unreachable:
                if attempt == _TRIES:
                    raise
            time.sleep(_WAIT * attempt)
        raise AssertionError

    def blob(self, blob: Descriptor, file: BinaryIO) -> None:
        """Write a blob to a file, as it is. What breaks off is gone on with where it broke off.

        Raises `Unreachable`, or `WrongDigest`.
        """
        url = f"{self._base}/v2/{self._reference.repository}/blobs/{blob.digest}"
        algorithm, _, _ = blob.digest.partition(":")
        digest = hashlib.new(algorithm)
        done = 0
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_WAIT * attempt)
            headers = {"Range": f"bytes={done}-"} if done else {}
            seconds = _SECONDS + max(blob.size - done, 0) / _SLOWEST
            try:
                with self._get(url, headers, seconds) as exchange:
                    status = exchange.head.status
                    if status not in (200, 206):
                        problem = _refusal(status)
                        if status in _BUSY:
                            continue
                        raise Refused(f"{self._name(blob.digest)}: {problem}")
                    if status == 200 and done:
                        file.seek(0)
                        file.truncate()
                        digest, done = hashlib.new(algorithm), 0
                    for data in exchange.chunks():
                        done += len(data)
                        if done > blob.size:
                            raise WrongDigest(f"the registry gives more than the {blob.size} bytes of {blob.digest}")
                        digest.update(data)
                        file.write(data)
            except Refused:
                raise
            except Unreachable as error:
                if attempt + 1 == _TRIES:
                    raise
                problem = str(error)
                continue
            if done == blob.size:
                if f"{algorithm}:{digest.hexdigest()}" != blob.digest:
                    raise WrongDigest(f"the registry gave other bytes for {blob.digest}")
                return
            problem = f"it broke off after {done} of {blob.size} bytes"
        raise Unreachable(f"{self._name(blob.digest)}: {problem}")

    def _name(self, what: str) -> str:
        return f"{self._reference.registry}/{self._reference.repository}, {what}"

    def put_blob(self, data: bytes) -> None:
        """Put a blob, in one piece, where the registry says to. Raises `Unreachable`."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        begin = f"{self._base}/v2/{self._reference.repository}/blobs/uploads/"
        told = self._put("POST", begin, b"", {}, 202, digest)
        place = connection.joined(begin, told.get("location", ""))
        try:
            allowed(place, urllib.parse.urlsplit(self._base).hostname or "", "registry")
        except ValueError as error:
            raise Refused(f"{self._name(digest)}: {error}") from None
        url = f"{place}{'&' if urllib.parse.urlsplit(place).query else '?'}{urllib.parse.urlencode({'digest': digest})}"
        self._put("PUT", url, data, {"Content-Type": "application/octet-stream"}, 201, digest)

    def put_manifest(self, name: str, body: bytes, media_type: str) -> bool:
        """Put a manifest under its digest or a tag. Raises `Unreachable`.

        Returns whether the registry lists it among the referrers of its subject.
        """
        url = f"{self._base}/v2/{self._reference.repository}/manifests/{name}"
        return "oci-subject" in self._put("PUT", url, body, {"Content-Type": media_type}, 201, name)

    def _put(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], done: int, what: str
    ) -> Mapping[str, str]:
        """Send something; what the registry tells with its answer."""
        seconds = _SECONDS + len(body) / _SLOWEST
        with self._ask(url, {"Content-Length": str(len(body)), **headers}, seconds, method, body) as exchange:
            if exchange.head.status != done:
                raise Refused(f"{self._name(what)}: {_refusal(exchange.head.status)}")
            return exchange.head.headers

    def _get(self, url: str, headers: Mapping[str, str], seconds: float) -> contextlib.AbstractContextManager[Exchange]:
        return self._ask(url, headers, seconds, "GET", None)

    @contextlib.contextmanager
    def _ask(
        self, url: str, headers: Mapping[str, str], seconds: float, method: str, body: bytes | None
    ) -> Iterator[Exchange]:
        """Ask, and once more with what the registry wants to know of who asks."""
        for first in (True, False):
            seconds = min(seconds, self._until - time.monotonic())
            if seconds <= 0:
                raise Refused(f"{masked(url)}: not fetched within {self._seconds:.0f} seconds")
            with connection.ask(url, headers, seconds, self._authorized, method=method, body=body) as exchange:
                head = exchange.head
                if not (first and head.status == 401 and self._is_home(head.url)):
                    yield exchange
                    return
            self._authorization = self._answer(head)

    def _is_home(self, url: str) -> bool:
        parts = urllib.parse.urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}" == self._base

    def _authorized(self, url: str) -> Mapping[str, str]:
        """Credentials are for the registry alone, not for where it redirects to."""
        return self._authorization if self._is_home(url) else {}

    def _answer(self, head: Head) -> dict[str, str]:
        """The header that answers a challenge: a token that the registry's own service gives out, or the password."""
        challenge = head.headers.get("www-authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            return self._password()
        fields = dict(_CHALLENGE.findall(rest))
        if scheme.lower() != "bearer" or not fields.get("realm"):
            return {}
        realm = urllib.parse.urlsplit(connection.joined(self._base, fields["realm"]))
        if loopback(realm.hostname or "") and not loopback(urllib.parse.urlsplit(self._base).hostname or ""):
            raise Refused(f"{self._reference.registry} asks for tokens of this machine")
        query = {"scope": fields.get("scope") or f"repository:{self._reference.repository}:pull"}
        if "service" in fields:
            query["service"] = fields["service"]
        url = f"{fields['realm']}{'&' if realm.query else '?'}{urllib.parse.urlencode(query)}"

        def login(asked: str) -> Mapping[str, str]:
            return self._password() if urllib.parse.urlsplit(asked).netloc == realm.netloc else {}

        with connection.ask(url, {}, _SECONDS, login) as exchange:
            if exchange.head.status != 200:
                raise Refused(f"{self._reference.registry} gives no token: {_refusal(exchange.head.status)}")
            try:
                answer = table(msgspec.json.decode(exchange.body(1 << 20)))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                answer = {}
        token = text(answer.get("token")) or text(answer.get("access_token"))
        if not token or not token.isascii() or not token.isprintable():
            raise Refused(f"{self._reference.registry} gives no token")
        return {"Authorization": f"Bearer {token}"}

    def _password(self) -> dict[str, str]:
        return {"Authorization": basic(*self._login)} if self._login else {}


def _listed(body: bytes) -> list[Descriptor]:
    return index(read(BytesReader(body), "a list of referrers"))


def _refusal(status: int) -> str:
    return {
        401: "it wants to know who asks (log in with `docker login`)",
        403: "it does not allow it",
        404: "there is no such thing",
        429: "it was asked too often",
    }.get(status, f"the registry answers {status}")


def _login(reference: Reference) -> tuple[str, str] | None:
    """The name and the password that Docker's or Podman's command line keeps; their helper programs are not run."""
    keys = _HUB_KEYS if reference.registry == "docker.io" else (reference.registry, f"https://{reference.registry}")
    for path in _settings():
        try:
            with open(path, "rb") as file:
                kept = table(table(msgspec.json.decode(file.read(1 << 20))).get("auths"))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        for key in keys:
            encoded = text(table(kept.get(key)).get("auth"))
            with contextlib.suppress(binascii.Error, UnicodeDecodeError):
                user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
                if colon:
                    return user, password
    return None


def _settings() -> list[str]:
    docker = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    podman = os.environ.get("REGISTRY_AUTH_FILE")
    return [*([podman] if podman else []), os.path.join(docker, "config.json")]
