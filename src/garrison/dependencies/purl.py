"""Package URLs: one name for a package of any ecosystem.

Source: the package URL specification and its type definitions; the OSV schema's "defined ecosystems".
"""

import functools
import os
import re
from collections.abc import Mapping

import msgspec

_KNOWLEDGE = os.path.join(os.path.dirname(__file__), "knowledge")
_PLAIN = re.compile(r"[A-Za-z0-9.\-_~:]*").fullmatch
_RESERVED = re.compile(rb"[^A-Za-z0-9.\-_~:]")
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9.\-]*").fullmatch
_KEY = re.compile(r"[A-Za-z.\-_][A-Za-z0-9.\-_]*").fullmatch
_SEPARATORS = re.compile(r"[-_.]+")
_SUSE = re.compile(r"(\d+)(?:[.-]?(?:SP|sp)?(\d+))?").fullmatch


class InvalidPackageURL(ValueError):
    """The text is no package URL; says why."""


class PackageURL(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a package URL, decoded; as text it is in canonical form."""

    type: str
    name: str
    namespace: str = ""
    version: str = ""
    qualifiers: dict[str, str] = {}
    subpath: str = ""

    @property
    def full_name(self) -> str:
        """The name as its registry writes it, with the namespace."""
        joint = ":" if self.type == "maven" else "/"
        return f"{self.namespace}{joint}{self.name}" if self.namespace else self.name

    def __str__(self) -> str:
        """Canonical, as the specification builds it."""
        return _canonical(self.type, self.namespace, self.name, self.version, self.qualifiers, self.subpath)


class _Types(msgspec.Struct, frozen=True):
    lower_namespace: frozenset[str]
    lower_name: frozenset[str]
    lower_version: frozenset[str]
    no_namespace: frozenset[str]
    case_matters: frozenset[str]


class _Ecosystems(msgspec.Struct, frozen=True):
    types: dict[str, str]
    distributions: dict[str, str]
    codenames: dict[str, dict[str, str]]


@functools.cache
def _types() -> _Types:
    with open(os.path.join(_KNOWLEDGE, "package_url_types.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Types)


@functools.cache
def _ecosystems() -> _Ecosystems:
    with open(os.path.join(_KNOWLEDGE, "osv_ecosystems.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Ecosystems)


def purl(
    type: str, name: str, version: str = "", namespace: str = "", qualifiers: Mapping[str, str] | None = None
) -> str:
    """The canonical package URL. A name may bring its namespace along: `@scope/name`, `github.com/owner/module`.

    Raises `InvalidPackageURL` for a type or a qualifier that cannot be one, or an empty name.
    """
    kind = type.lower()
    if not _TYPE(kind):
        raise InvalidPackageURL(f"{type!r} is no type of package URLs")
    if not namespace and kind not in _types().no_namespace:
        namespace, _, name = name.strip("/").rpartition("/")
    return _canonical(kind, namespace, name, version, qualifiers or {}, "")


def with_origin(text: str, distribution: str, source_name: str, source_version: str) -> str:
    """The package URL of an operating system's package with its distribution (`debian:12`) and the source package that
    it was built from, as far as it does not say so itself; any other text as it is.
    """
    import msgspec.structs

    try:
        found = parse(text)
    except InvalidPackageURL:
        return text
    system, _, version = distribution.partition(":")
    if found.type not in ("deb", "apk", "rpm") or not (system or source_name):
        return text
    added = {"distro": f"{system}-{version}" if version else system}
    if source_name:
        added["upstream"] = f"{source_name}@{source_version}" if source_version else source_name
    qualifiers = {**{key: value for key, value in added.items() if value}, **found.qualifiers}
    return str(msgspec.structs.replace(found, namespace=found.namespace or system, qualifiers=qualifiers))


def parse(text: str) -> PackageURL:
    """The parts of a package URL; names are in canonical form, but keep the case where registries tell by it.

    Raises `InvalidPackageURL`.
    """
    scheme, colon, rest = text.strip().partition(":")
    if not colon or scheme.lower() != "pkg":
        raise InvalidPackageURL("a package URL begins with 'pkg:'")
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    kind, slash, path = rest.strip("/").partition("/")
    kind = kind.lower()
    if not slash or not _TYPE(kind):
        raise InvalidPackageURL(f"no type of packages in {text[:100]!r}")
    space, _, last = path.strip("/").rpartition("/")
    at = last.rfind("@")
    name, version = (last[:at], last[at + 1 :]) if at > 0 or (at == 0 and not space) else (last, "")
    namespace = "/".join(decoded(part) for part in space.split("/") if part)
    name = decoded(name)
    if not name:
        raise InvalidPackageURL(f"no name in {text[:100]!r}")
    return PackageURL(
        type=kind,
        namespace=_namespace(kind, namespace),
        name=_name(kind, name),
        version=decoded(version),
        qualifiers=_qualifiers(query),
        subpath=_subpath("/".join(decoded(part) for part in fragment.split("/"))),
    )


def normalise_name(type: str, name: str) -> str:
    """The name as registries and advisories compare it, with its namespace: `scikit-learn`, `@scope/name`.

    Case is kept where the registry tells names apart by it.
    """
    namespace, slash, last = name.rpartition("/") if type not in _types().no_namespace else ("", "", name)
    return f"{_namespace(type, namespace)}{slash}{_name(type, last)}"


def osv_ecosystem(purl_type: str, distribution: str = "") -> str | None:
    """What OSV calls the ecosystem; `None` where it has none. `distribution` is `debian:12`, `alpine:3.19`, ..."""
    if purl_type not in ("deb", "apk", "rpm"):
        return _ecosystems().types.get(purl_type)
    system, _, version = distribution.lower().partition(":")
    pattern = _ecosystems().distributions.get(system)
    if pattern is None:
        return None
    version = _ecosystems().codenames.get(system.partition("-")[0], {}).get(version, version)
    if not version:
        return pattern.partition(":")[0]
    parts = version.lstrip("v").split(".")
    if system == "alpine" and parts[0] == "edge":
        return "Alpine:edge"
    return pattern.format(
        version=version, major=parts[0], minor=".".join(parts[:2]), release=_ubuntu(parts), pack=_suse(version)
    )


def _ubuntu(parts: list[str]) -> str:
    """Every second April's release has long-term support."""
    version = ".".join(parts[:2])
    return f"{version}:LTS" if parts[0].isdigit() and int(parts[0]) % 2 == 0 and parts[1:2] == ["04"] else version


def _suse(version: str) -> str:
    found = _SUSE(version)
    if not found:
        return version
    return f"{found[1]} SP{found[2]}" if found[2] and found[2] != "0" else found[1]


def _canonical(kind: str, namespace: str, name: str, version: str, qualifiers: Mapping[str, str], subpath: str) -> str:
    types = _types()
    name = _name(kind, name.strip("/"))
    if not name:
        raise InvalidPackageURL("a package URL needs a name")
    if kind in types.lower_name:
        name = name.lower()
    if kind in types.lower_namespace:
        namespace = namespace.lower()
    if kind in types.lower_version:
        version = version.lower()
    spaces = "".join(f"{_encoded(part)}/" for part in namespace.split("/") if part)
    text = f"pkg:{kind}/{spaces}{_encoded(name)}"
    if version:
        text += f"@{_encoded(version)}"
    if qualifiers:
        lower = {key.lower(): value for key, value in qualifiers.items() if value}
        if wrong := next((key for key in lower if not _KEY(key)), None):
            raise InvalidPackageURL(f"{wrong!r} is no key of a qualifier")
        if lower:
            text += "?" + "&".join(f"{key}={_encoded(lower[key])}" for key in sorted(lower))
    if subpath := _subpath(subpath):
        text += "#" + "/".join(map(_encoded, subpath.split("/")))
    return text


def _name(kind: str, name: str) -> str:
    """Without lowering the case of names that registries tell apart by it."""
    if kind == "pypi":
        return _SEPARATORS.sub("-", name).lower()
    if kind == "hackage":
        return name.replace("_", "-")
    if kind == "pub":
        return re.sub(r"[^a-z0-9]", "_", name.lower())
    types = _types()
    return name.lower() if kind in types.lower_name and kind not in types.case_matters else name


def _namespace(kind: str, namespace: str) -> str:
    if kind == "cpan":
        return namespace.upper()
    types = _types()
    return namespace.lower() if kind in types.lower_namespace and kind not in types.case_matters else namespace


def _qualifiers(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in query.split("&") if query else []:
        key, _, value = part.partition("=")
        if not _KEY(key):
            raise InvalidPackageURL(f"{key[:100]!r} is no key of a qualifier")
        if value:
            found[key.lower()] = decoded(value)
    return found


def _subpath(path: str) -> str:
    return "/".join(part for part in path.split("/") if part.strip() and part not in (".", ".."))


def _encoded(text: str) -> str:
    if _PLAIN(text):
        return text
    return _RESERVED.sub(lambda found: b"%%%02X" % found[0][0], text.encode("utf-8", "replace")).decode()


def decoded(text: str) -> str:
    if "%" not in text:
        return text
    data = _ENCODED.sub(lambda found: bytes((int(found[1], 16),)), text.encode("utf-8", "replace"))
    return data.decode("utf-8", "replace")
