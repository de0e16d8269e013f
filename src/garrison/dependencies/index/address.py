"""Which index is asked, as whom, and how its address is shown."""

import os
import sys
import urllib.parse

import msgspec

from garrison.core.errors import UsageError
from garrison.sources.connections import loopback, masked

DEFAULT = "https://pypi.org/simple/"


class Address(msgspec.Struct, frozen=True):
    """An index's address. Credentials are kept apart, so that nothing prints them."""

    url: str
    """Without credentials, with a slash at its end."""
    user: str = ""
    password: str = ""
    certificates: str = ""
    """A file of certificate authorities of its own."""
    origin: str = ""
    """Who chose it, for a person: `the policy`, `PIP_INDEX_URL`, a file of pip's."""

    @property
    def host(self) -> str:
        return (urllib.parse.urlsplit(self.url).hostname or "").lower()

    @property
    def public(self) -> bool:
        """Whether anyone can register a name there."""
        return self.host in ("pypi.org", "test.pypi.org", "pypi.python.org")


def chosen(policy: str) -> Address:
    """The index that the policy names, else the one that pip is configured with, else PyPI.

    What is examined has no say: an index that a scanned file names could be an attacker's.
    """
    if policy:
        return address(policy, origin="the policy", explicit=True)
    settings = _pip()
    url, origin = settings.get("index-url", (DEFAULT, "the default"))
    trusted = settings.get("trusted-host", ("", ""))[0].split()
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    explicit = host in trusted or host.partition(":")[0] in trusted
    return address(url, origin=origin, explicit=explicit, certificates=settings.get("cert", ("", ""))[0])


def address(url: str, *, origin: str = "", explicit: bool = False, certificates: str = "") -> Address:
    """Check and take apart. Raises `UsageError`; plain http needs to be `explicit` unless it stays on this machine."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError(f"the package index {masked(url)} ({origin}) is no address") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"the package index {masked(url)} ({origin}) is no http or https address")
    user = urllib.parse.unquote(parts.username or "")
    password = urllib.parse.unquote(parts.password or "")
    if not user and not password:
        user, password = _netrc(host)
    if parts.scheme == "http" and not loopback(host):
        if not explicit:
            raise UsageError(
                f"the package index {masked(url)} ({origin}) is plain http; name it in the policy if meant"
            )
        if user or password:
            raise UsageError(f"the package index {masked(url)} ({origin}): credentials are not sent over plain http")
    shown = f"[{host}]" if ":" in host else host
    place = shown if port is None else f"{shown}:{port}"
    plain = urllib.parse.urlunsplit((parts.scheme, place, parts.path.rstrip("/") + "/", "", ""))
    return Address(plain, user, password, certificates, origin)


def _netrc(host: str) -> tuple[str, str]:
    import netrc

    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        found = netrc.netrc(path).authenticators(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return "", ""
    return (found[0] or "", found[2] or "") if found else ("", "")


def _pip() -> dict[str, tuple[str, str]]:
    """Settings of pip that matter here, each with where it is from.

    Source: pip's "Configuration": later files win, and variables of the environment win over files.
    """
    import configparser

    settings: dict[str, tuple[str, str]] = {}
    for path in _pip_files():
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for name in _SETTINGS:
            if parser.has_option("global", name):
                settings[name] = parser.get("global", name).strip(), path
    for name in _SETTINGS:
        variable = f"PIP_{name.upper().replace('-', '_')}"
        if os.environ.get(variable):
            settings[name] = os.environ[variable].strip(), variable
    return settings


_SETTINGS = ("index-url", "trusted-host", "cert")


def _pip_files() -> list[str]:
    chosen_file = os.environ.get("PIP_CONFIG_FILE")
    if chosen_file == os.devnull:
        return []
    system = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return [
        *(os.path.join(folder, "pip", "pip.conf") for folder in reversed(system.split(os.pathsep))),
        "/etc/pip.conf",
        os.path.expanduser("~/.pip/pip.conf"),
        os.path.join(home, "pip", "pip.conf"),
        os.path.join(sys.prefix, "pip.conf"),
        *([chosen_file] if chosen_file else []),
    ]
