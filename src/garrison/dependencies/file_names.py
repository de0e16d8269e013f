"""Whether the name of a file is that of a package's release: what a lock fetches under another name is another package.

Source: PyPA's binary distribution and source distribution file name specifications; npm registry's tarball addresses;
conda's package naming conventions.
"""

import re

_SEPARATORS = re.compile(r"[-_.]+")
_RELEASE = re.compile(r"[-_.]*v?(\d+(?:\.\d+)*)")
_SDIST = re.compile(r"\.(?:tar\.\w+|tgz|tbz2|zip)$")
_CONDA = re.compile(r"\.(?:conda|tar\.bz2)$")
_TARBALL = re.compile(
    r"https?://[^/?#]+/(?:.*?/)??((?:@[^/?#]+/|%40[^/?#]+%2[Ff])?[^/?#@]+)/-/(?:@[^/?#]+/)?([^/?#]+)\.tgz"
)


def of_python(address: str, name: str, version: str) -> bool:
    """Whether a wheel or an sdist has the name and the release of the package, however it spells them."""
    file = address.rpartition("/")[2]
    usual = f"{name.replace('-', '_')}-{version}"
    if file.startswith(usual) and (file.startswith("-", len(usual)) or file[len(usual) :] == ".tar.gz"):
        return True
    file = re.split(r"[?#]", file, maxsplit=1)[0]
    if file.endswith(".whl"):
        own, _, rest = file.partition("-")
    elif _SDIST.search(file) and (length := _prefix(file, name)):
        own, rest = file[:length], file[length:]
    elif _SDIST.search(file):
        # Archives of a commit or a branch are called after that.
        return not re.search(r"-\d", file)
    else:
        return True
    return _plain(own) == _plain(name) and ("!" in version or _release(rest) == _release(version))


def of_npm(address: str, name: str, version: str) -> bool:
    """Whether a tarball's address on a registry is that of the package; others say nothing of it."""
    found = _TARBALL.match(address)
    if not found:
        return True
    own = re.sub("%2f", "/", found[1].replace("%40", "@"), flags=re.IGNORECASE)
    base = name.rpartition("/")[2]
    plain = version.partition("+")[0]
    return own == name and found[2] in (f"{base}-{version}", f"{base}-{plain}")


def of_conda(address: str, name: str, version: str) -> bool:
    """Whether a package's file is called name, version and build."""
    file = address.partition("#")[0].rpartition("/")[2]
    if not _CONDA.search(file) or not version:
        return True
    return file.startswith(f"{name}-{version}-")


def _prefix(file: str, name: str) -> int:
    """How much of the file's name is the package's; separators may be of another kind."""
    pattern = "[-_.]+".join(map(re.escape, _SEPARATORS.split(name)))
    found = re.match(rf"{pattern}(?=[-_.]+v?\d)", file, re.IGNORECASE)
    return found.end() if found else 0


def _plain(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def _release(version: str) -> list[str]:
    found = _RELEASE.match(version)
    numbers = [one.lstrip("0") for one in found[1].split(".")] if found else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
