"""Dictionaries, lists, tuples and sets."""

from garrison.artifacts.disarm.unpickling import UNKNOWN, Unpickling
from garrison.artifacts.disarm.values import Collection, Mapping, Value


def dictionary(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    if not arguments:
        return Mapping()
    if len(arguments) > 1:
        return UNKNOWN
    if isinstance(arguments[0], Mapping):
        return Mapping(list(arguments[0].entries))
    pairs = arguments[0]
    if isinstance(pairs, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        return Mapping([(key, value) for key, value in pairs])
    return UNKNOWN


def default_dictionary(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    # The factory is named and never called.
    return dictionary(unpickling, arguments[1:])


def list_(_: Unpickling, arguments: tuple[Value, ...]) -> Value:
    if not arguments:
        return []
    return list(arguments[0]) if isinstance(arguments[0], list | tuple) else UNKNOWN


def tuple_(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    found = list_(unpickling, arguments)
    return tuple(found) if isinstance(found, list) else UNKNOWN


def set_(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    found = list_(unpickling, arguments)
    return Collection(found) if isinstance(found, list) else UNKNOWN


def counter(unpickling: Unpickling, arguments: tuple[Value, ...]) -> Value:
    """`Counter(counts)`; what is no dictionary would be counted."""
    if arguments and not isinstance(arguments[0], Mapping):
        return UNKNOWN
    return dictionary(unpickling, arguments)
