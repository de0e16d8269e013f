"""pixi's lock files.

Source: conda/rattler `crates/rattler_lock`, versions 1 to 6 of the format.
"""

import re
from typing import Any

from garrison.dependencies import conda_addresses
from garrison.dependencies.file_names import of_conda, of_python
from garrison.dependencies.locked import DEFAULT, Locked, Origin, public, version_control
from garrison.dependencies.plain_documents import duplicates, mapping, table, tables, text_of, word, words, yaml
from garrison.sources.source import Context, Extracted, Source

_NAME = re.compile(r"[\w.\-]+")
_WHEEL = re.compile(r"([^-/]+)-([^-/]+)-[^/]*\.whl")
_GIT = re.compile(r"git\+([^?#]*)(?:\?[^#]*)?(?:#(\w*))?")
_PYPI = "https://files.pythonhosted.org/"


def sniff(source: Source) -> bool:
    """Its name, by which pixi goes."""
    return source.name.lower() == "pixi.lock"


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it fixes, of all environments and platforms."""
    repeated: list[str] = []
    document = yaml(text_of(source, context), context, repeated)
    document = mapping(document, "packages", "package", "environments")
    yield from duplicates(repeated)
    found = Locked("pixi-lock")
    found.details["lock version"] = word(document.get("version"))[:20]
    found.details["environments"] = ", ".join(map(str, table(document.get("environments"))))[:400]
    packages = tables(document.get("packages")) or tables(document.get("package"))
    for number, package in enumerate(packages, 1):
        if number % 1024 == 0:
            context.check_time()
        kind = word(package.get("kind")) or word(package.get("manager")) or ("conda" if "conda" in package else "pypi")
        address = word(package.get(kind)) or word(package.get("url"))
        (_conda if kind == "conda" else _pypi)(found, package, address, f"packages {number}")
    yield from found.facts()


def _conda(found: Locked, package: dict[str, Any], address: str, place: str) -> None:
    file = conda_addresses.read(address)
    name = word(package.get("name")) or (file.name if file else "")
    version = word(package.get("version")) or (file.version if file else "")
    if file and not of_conda(address, name, version):
        found.misnamed(f"{name} {version} ({public(address).rpartition('/')[2]})")
    local = Origin("path", address) if address and "://" not in address else DEFAULT
    found.add(
        "conda",
        name,
        version,
        place=place,
        origin=file.origin if file else local,
        hashes=_hashes(package),
        licences=tuple(filter(None, (word(package.get("license")),))),
        dependencies=_names(package.get("depends") or package.get("dependencies")),
        qualifiers=file.qualifiers if file else None,
    )


def _pypi(found: Locked, package: dict[str, Any], address: str, place: str) -> None:
    wheel = _WHEEL.fullmatch(address.rpartition("/")[2])
    name = word(package.get("name")) or (wheel[1] if wheel else "")
    version = word(package.get("version")) or (wheel[2] if wheel else "")
    git = _GIT.match(address)
    if git:
        origin = version_control("git", git[1], git[2] or "")
    elif "://" not in address:
        origin = Origin("path", address or ".")
    else:
        origin = DEFAULT if address.startswith(_PYPI) else Origin("url", address)
        if not of_python(address, name, version):
            found.misnamed(f"{name} {version} ({public(address).rpartition('/')[2]})")
    found.add(
        "pypi",
        name,
        version,
        place=place,
        origin=origin,
        hashes=_hashes(package),
        dependencies=_names(package.get("requires_dist")),
    )


def _hashes(package: dict[str, Any]) -> list[str]:
    own = package if not isinstance(package.get("hash"), dict) else package["hash"]
    return [f"{kind}:{digest}" for kind in ("sha256", "md5") if (digest := word(own.get(kind)))]


def _names(lines: object) -> list[str]:
    return [name[0] for line in words(lines) if (name := _NAME.match(line))]
