"""Which loader a format has."""

import functools
import importlib.util
import os
from collections.abc import Callable

import msgspec

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.artifacts.loading.refusal import LoadRefused
from garrison.core.registry import load
from garrison.sources.private_copy import PrivateCopy

Loader = Callable[[PrivateCopy, Admitted, Options], object]


class MissingPackage(LoadRefused):
    """Nothing stands against loading, but the framework that would is not installed; the text says what to install."""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    loader: str
    """`module:function`."""
    packages: tuple[str, ...] = ()
    """What it imports, by the names that they are imported and installed by."""


@functools.cache
def _entries() -> dict[str, _Entry]:
    with open(os.path.join(os.path.dirname(__file__), "loaders.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=dict[str, _Entry])


def has_loader(admitted: Admitted) -> bool:
    """Whether the subject itself is of a format that is loaded, as opposed to what it may hold."""
    return not admitted.formats.isdisjoint(_entries())


def loaded_format(admitted: Admitted) -> str:
    """The format of a subject that has a loader, by which it is loaded."""
    return min(name for name in admitted.formats if name in _entries())


def loader(admitted: Admitted) -> Loader:
    """The loader of the one format that the subject is.

    Raises `LoadRefused` where there is none or where the bytes are of several, and `MissingPackage`.
    """
    known = {_entries()[name] for name in admitted.formats if name in _entries()}
    if not known:
        formats = ", ".join(admitted.item.formats) or "no format that garrison knows"
        raise LoadRefused(f"{admitted.subject}: nothing here loads {formats}")
    if len(known) > 1:
        several = " and ".join(sorted(name for name in admitted.formats if name in _entries()))
        raise LoadRefused(f"{admitted.subject}: the bytes are {several} at once, and loaders would disagree")
    (entry,) = known
    missing = [name for name in entry.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackage(
            f"{admitted.subject}: loading it needs {' and '.join(missing)}: pip install {' '.join(missing)}"
        )
    return load(entry.loader)
