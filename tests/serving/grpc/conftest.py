"""gRPC's thread for asyncio lives as long as objects that only the garbage collector finds."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def no_thread_left() -> Iterator[None]:
    yield
    gc.collect()
