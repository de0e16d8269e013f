"""Where a server behind the guard is."""

import re
import ssl
import urllib.parse

import msgspec

from garrison.core.errors import UsageError
from garrison.serving.config.config import Backend
from garrison.sources.connections import masked

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A TCP address or a Unix socket, with or without TLS."""

    host: str = ""
    port: int = 0
    path: str = ""
    """Of a Unix socket; empty for TCP."""
    secure: bool = False

    @property
    def authority(self) -> str:
        """What stands in the `Host` header."""
        if self.path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def parsed(text: str) -> Address:
    """An address from `http://host:port`, `https://host:port` or `unix:/path`. Raises `UsageError`."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise UsageError(f"the address {text!r} names no absolute path of a socket: write unix:/path")
        return Address(path=path)
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError:
        raise UsageError(f"the address {masked(text)!r} cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise UsageError(
            f"the address {masked(text)!r} is none of a server: write http://host:port, https://... or unix:/path"
        )
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise UsageError(f"the address {masked(text)!r} has more than a host and a port")
    secure = parts.scheme == "https"
    return Address(host=parts.hostname, port=port or (443 if secure else 80), secure=secure)


def client_context(backend: Backend) -> ssl.SSLContext:
    """Verifies a server's certificate and name. Raises `UsageError` for certificates that cannot be read."""
    try:
        context = ssl.create_default_context(cafile=backend.authorities or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if backend.certificate:
            context.load_cert_chain(backend.certificate, backend.key or None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the certificates to speak to the model server with cannot be read: {error}") from None
    return context
