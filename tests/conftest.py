"""What all tests share: properties are held to no clock, since machines that test are busy, and servers come last."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

_TESTS = Path(__file__).parent
_LAST = (_TESTS / "serving", _TESTS / "cli" / "test_serve.py")
"""Servers and gRPC leave threads in the process, and tests of the jail start their workers by fork, which takes a
process that has one thread only."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: any(item.path.is_relative_to(path) for path in _LAST))
