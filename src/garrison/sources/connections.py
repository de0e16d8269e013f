"""What the clients of advisories, package indexes and registries share: where a redirect may lead, proxies, wording."""

import functools
import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import http.client
    import ssl

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PROXY_PORT = 80
"""Of a proxy whose address names none."""


def loopback(host: str) -> bool:
    """Whether the host is this machine by its very name."""
    if host.lower() == "localhost":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def masked(url: str) -> str:
    """The address as it may be shown: without what may hold a secret: all before an `@`, and the query."""
    head, separator, rest = url.partition("://")
    rest = (rest if separator else head).partition("?")[0].partition("#")[0].rpartition("@")[2]
    return f"{head}://{rest}" if separator else rest


def allowed(url: str, first: str, asked: str) -> urllib.parse.SplitResult:
    """The parts of an address to ask, where `first` is the host that was meant and `asked` says what that is.

    Raises `ValueError`, with the reason for a person, for what is no address of the web, and for an address of this
    machine that another host leads to.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"{masked(url)} is no address") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{masked(url)} is no http or https address")
    if loopback(host) and not loopback(first):
        raise ValueError(f"{masked(url)} is on this machine, and the {asked} is not")
    return parts


def connect(
    parts: urllib.parse.SplitResult, seconds: float, certificates: str = ""
) -> "tuple[http.client.HTTPConnection, bool]":
    """A connection for an address, not opened yet, and whether it leads there directly.

    A proxy of the environment that is not direct wants whole addresses. `certificates` is a file of authorities of
    the index's own.
    """
    import http.client

    host, port = parts.hostname or "", parts.port
    proxy = _proxy(parts.scheme, host)
    if parts.scheme == "https":
        context = _context(certificates)
        if proxy is None:
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=context), True
        tunnel = http.client.HTTPSConnection(*_of(proxy), timeout=seconds, context=context)
        tunnel.set_tunnel(host, port, headers=_proxy_credentials(proxy))
        return tunnel, True
    if proxy is None:
        return http.client.HTTPConnection(host, port, timeout=seconds), True
    return http.client.HTTPConnection(*_of(proxy), timeout=seconds), False


def target(parts: urllib.parse.SplitResult, direct: bool) -> str:
    """What to ask of a connection."""
    if direct:
        return urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return urllib.parse.urlunsplit(parts._replace(fragment=""))


def _of(proxy: urllib.parse.SplitResult) -> tuple[str, int]:
    return proxy.hostname or "", proxy.port or _PROXY_PORT


def _proxy(scheme: str, host: str) -> urllib.parse.SplitResult | None:
    import urllib.request

    if loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    return urllib.parse.urlsplit(found if "://" in found else f"http://{found}") if found else None


def _proxy_credentials(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    user, password = urllib.parse.unquote(proxy.username), urllib.parse.unquote(proxy.password or "")
    return {"Proxy-Authorization": basic(user, password)}


@functools.cache
def _context(certificates: str) -> "ssl.SSLContext":
    import ssl

    context = ssl.create_default_context()
    if certificates:
        context.load_verify_locations(certificates)
    return context


def basic(user: str, password: str) -> str:
    """The value of an `Authorization` header."""
    import base64

    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@functools.cache
def user_agent() -> str:
    from garrison import __version__

    return f"garrison/{__version__}"


def said(error: Exception) -> str:
    """Why a request failed, in a few words."""
    import socket
    import ssl

    if isinstance(error, TimeoutError):
        return str(error) if str(error) and "timed out" not in str(error) else "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its host's name is not known here"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
