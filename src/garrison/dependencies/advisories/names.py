"""What names are looked up by: advisories and manifests may write the same package's name in different ways.

Source: PEP 503 (PyPI); crates.io's and NuGet's rules of unique names; module paths of Go on hosts without case.
"""

from garrison.dependencies.purl import normalise_name

_CASE_IS_NOTHING = frozenset({"Go", "NuGet", "Packagist", "GitHub Actions"})


def lookup_name(ecosystem: str, name: str) -> str:
    """The key of a package's name within an ecosystem of OSV, given with or without a release (`Debian:12`)."""
    base = base_ecosystem(ecosystem)
    if base == "PyPI":
        return normalise_name("pypi", name)
    if base == "crates.io":
        return name.lower().replace("_", "-")
    return name.lower() if base in _CASE_IS_NOTHING else name


def lookup_ecosystem(ecosystem: str) -> str:
    """Red Hat names repositories within a release (`Red Hat:enterprise_linux:9::appstream`), which a host does not."""
    return ecosystem.partition("::")[0]


def base_ecosystem(ecosystem: str) -> str:
    """`Debian` of `Debian:12`."""
    return ecosystem.partition(":")[0]
