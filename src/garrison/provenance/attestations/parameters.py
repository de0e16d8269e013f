"""Parameters of a training from a file, as plain JSON values: JSON, TOML or YAML, by the name's ending.

Read strictly, since two readers must not differ in what is signed: a key that stands twice is refused, and so are
numbers that JSON has not. YAML is read without tags that make objects and without references, of which a short file
could make an endless one.
"""

import datetime
import math
import os
from typing import Any

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.provenance.strict_json import decoded
from garrison.provenance.trust import Refused

_BYTES = 4 << 20


def load(path: str) -> dict[str, Any]:
    """The parameters in a file. Raises `UsageError`, with the place of the first mistake."""
    ending = os.path.splitext(path)[1]
    if ending not in _READERS:
        raise UsageError(f"{path}: the name must end in {', '.join(_READERS)}")
    data = contents(path, _BYTES)
    try:
        document = _READERS[ending](data)
        if not isinstance(document, dict):
            raise ValueError("no table of parameters")
        plain: dict[str, Any] = _plain(document)
        return plain
    except (ValueError, Refused) as error:
        raise UsageError(f"{path}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UsageError(f"{path}: nested too deep") from None


def parsed(text: str) -> tuple[str, Any]:
    """A parameter on the command line, `NAME=VALUE`: the value is JSON, or else text. Raises `UsageError`."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"{text!r} is not NAME=VALUE")
    try:
        return name, _plain(decoded(value.encode(), Any, "value", most=_BYTES))
    except UnicodeEncodeError:
        raise UsageError(f"{text!r} is no Unicode") from None
    except (Refused, ValueError):
        return name, value


def merged(*groups: dict[str, Any]) -> dict[str, Any]:
    """All parameters. Raises `UsageError` for one that is given twice."""
    found: dict[str, Any] = {}
    for group in groups:
        for name, value in group.items():
            if name in found:
                raise UsageError(f"the parameter {name!r} is given twice")
            found[name] = value
    return found


def _json(data: bytes) -> object:
    return decoded(data, dict[str, Any], "parameters", most=_BYTES)


def _toml(data: bytes) -> object:
    import tomllib

    return tomllib.loads(data.decode())


def _yaml(data: bytes) -> object:
    import yaml

    class Loader(yaml.SafeLoader):
        """Without references, and without keys that stand twice."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("references are not read here")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            found = super().construct_mapping(node, deep=deep)
            if len(found) != len(node.value):
                raise ValueError(f"a key stands twice in line {node.start_mark.line + 1}, or after it")
            return found

    try:
        return yaml.load(data, Loader=Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _plain(value: Any) -> Any:
    """The value as JSON has it: times as text. Raises `ValueError` for what JSON has not."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is no text")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int) and -_MOST <= value <= _MOST:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ValueError(f"{str(value)[:40]} is no value of JSON that every reader reads alike")


_MOST = 1 << 63
_READERS = {".json": _json, ".toml": _toml, ".yaml": _yaml, ".yml": _yaml}
