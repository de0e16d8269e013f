"""Fixtures that all tests of the guard may ask for."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from tests.serving.servers import mlserver, triton

__all__ = ["mlserver", "triton"]


@pytest.fixture(scope="package", autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """gRPC's thread ends with the last of its objects, which may wait for the garbage collector; tests of the jail that
    come later start their workers by fork, as long as there is one thread only."""
    yield
    until = time.monotonic() + 20
    while threading.active_count() > 1 and time.monotonic() < until:
        gc.collect()
        time.sleep(0.1)
