"""The whole guard inside MLServer: before every request of REST and every method of gRPC, the repository's included."""

from typing import Any

from garrison.serving.config.config import Config
from garrison.serving.grpc.gateway import Current
from garrison.serving.grpc.interceptor import GuardInterceptor
from garrison.serving.http.app import GuardApp
from garrison.serving.http.middleware import forward_to
from garrison.serving.running import Running


class Inside:
    """Make it in the loop that MLServer runs in."""

    def __init__(self, config: Config, app: Any) -> None:
        """`app` is the server's own ASGI application. Raises `UsageError` for a configuration that cannot be."""
        self.running = Running(config, forward=forward_to(app))
        self.front = GuardApp(self.running.http)
        self.interceptors = [GuardInterceptor(Current(self.running.assembled.grpc()))]
