"""Tells directories that are images or root file systems. It is asked of every directory that is scanned."""

import os

SAVED = "manifest.json"
LAYOUT = "index.json"
"""The documents that list the images of an archive: Docker's, and the OCI layout's."""
_TYPICAL = ("bin", "usr", "var", "etc", "lib")
_RELEASES = ("etc/os-release", "usr/lib/os-release")
_DATABASES = ("var/lib/dpkg/status", "lib/apk/db/installed", "usr/lib/apk/db/installed")


def is_layout(path: str) -> bool:
    """Whether a directory is an OCI layout."""
    return all(os.path.isfile(os.path.join(path, name)) for name in ("oci-layout", "index.json")) and os.path.isdir(
        os.path.join(path, "blobs")
    )


def is_root(path: str) -> bool:
    """Whether a directory is a root file system: it names its distribution, or has a database of packages."""

    def there(name: str) -> bool:
        return os.path.lexists(os.path.join(path, name))

    named = any(map(there, _RELEASES)) and sum(map(there, _TYPICAL)) >= 3
    return named or (any(map(there, _DATABASES)) and there("usr"))
