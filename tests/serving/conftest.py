"""Fixtures that all tests of the guard may ask for."""

from tests.serving.servers import mlserver, triton

__all__ = ["mlserver", "triton"]
