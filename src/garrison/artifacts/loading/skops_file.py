"""skops archives, with the types trusted that the scan saw and the policy lets pass."""

import importlib
from typing import Any

from garrison.artifacts.loading import restricted
from garrison.artifacts.loading.admission import Admitted, Options
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    import skops.io

    names = admitted.names("skops")
    for module, name in names:
        restricted.own(_resolved(module, name), module, name)
    trusted = sorted(".".join(part for part in written if part) for written in names)
    with copy.open() as file:
        return skops.io.load(file, trusted=trusted)


def _resolved(module: str, name: str) -> Any:
    """What skops will find under a name; `None` where it will find nothing, and say so."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except (ImportError, ValueError):
        return None
