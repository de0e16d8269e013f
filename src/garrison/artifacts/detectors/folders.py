"""Where a file name that a graph holds leads."""

import posixpath


def leaves(name: str) -> bool:
    """Whether it is absolute, an address, or leads out of the folder that it is taken from."""
    plain = name.replace("\\", "/")
    return (
        plain.startswith(("/", "~"))
        or "://" in plain
        or plain[1:3] == ":/"
        or posixpath.normpath(plain).startswith("..")
    )
