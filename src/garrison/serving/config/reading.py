"""Reads `guard.toml`."""

import hashlib
import os
import tomllib

import msgspec

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.serving.config.config import Config
from garrison.serving.config.paths import located

_MOST = 1 << 22
"""How long a configuration may be, in bytes."""


def read(path: str) -> Config:
    """The configuration in a file, with its paths made absolute.

    Raises `UsageError` for what cannot be read or does not parse, with the place of the mistake.
    """
    try:
        table = tomllib.loads(contents(path, _MOST).decode())
        config = msgspec.convert(table, Config)
    except (ValueError, RecursionError) as error:  # TOML's and msgspec's are of the first, and numbers without end
        raise UsageError(f"{path}: {error}") from None
    try:
        config = located(config, os.path.dirname(os.path.realpath(path)))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    assert isinstance(config, Config)
    return config


def digest(config: Config) -> str:
    """SHA-256 of all settings, in hexadecimal: the same for the same settings, however the file is written."""
    return hashlib.sha256(msgspec.json.encode(config, order="sorted")).hexdigest()
