"""A model server on loopback."""

from collections.abc import Iterator

import pytest

from tests.robustness.endpoints.server import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running
