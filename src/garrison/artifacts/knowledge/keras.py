"""Names of Keras' own classes and functions, which configurations give without a module."""

import functools
import os

import msgspec


@functools.cache
def built_in() -> frozenset[str]:
    """Every layer, model, optimiser, loss, metric, initialiser and so on of Keras 2 and 3, and common legacy names."""
    with open(os.path.join(os.path.dirname(__file__), "keras.json"), "rb") as file:
        groups = msgspec.json.decode(file.read(), type=dict[str, str])
    return frozenset(name for names in groups.values() for name in names.split())
