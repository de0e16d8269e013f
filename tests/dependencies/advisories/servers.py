"""A web server on this machine, as honest or as hostile as a test wants it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves `body`; what it was asked is in `requests`. `misbehave` may answer in its place."""

    def __init__(self) -> None:
        self.body = b""
        self.etag = '"1"'
        self.modified = ""
        self.ranges = True
        self.cut: list[int] = []
        """For the next answers, after how many bytes the connection is closed."""
        self.misbehave: Callable[[BaseHTTPRequestHandler], bool] | None = None
        self.requests: list[dict[str, str]] = []
        self.flooded = 0
        """Bytes of an endless answer that the other side took."""
        self.url = ""
        self.stopping = threading.Event()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append({"path": handler.path, **asked})
        if self.misbehave is not None and self.misbehave(handler):
            return
        same = self.etag and asked.get("if-none-match") == self.etag
        if same or (self.modified and asked.get("if-modified-since") == self.modified):
            handler.send_response(304)
            handler.end_headers()
            return
        start = 0
        if self.ranges and asked.get("if-range") in (self.etag, self.modified) and "range" in asked:
            start = int(asked["range"].removeprefix("bytes=").removesuffix("-"))
        if start > len(self.body):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        for name, value in (("ETag", self.etag), ("Last-Modified", self.modified)):
            if value:
                handler.send_header(name, value)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        body = self.body[start:]
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.cut.pop(0)] if self.cut else body)

    def redirecting(self, target: str, code: int = 302) -> None:
        """Send everybody elsewhere, except who asks for `/end`."""

        def redirect(handler: BaseHTTPRequestHandler) -> bool:
            if handler.path == "/end":
                return False
            handler.send_response(code)
            handler.send_header("Location", target)
            handler.end_headers()
            return True

        self.misbehave = redirect

    def dripping(self, start: bytes, seconds: float = 0.05) -> None:
        """Send some bytes and then one by one, without an end."""

        def drip(handler: BaseHTTPRequestHandler) -> bool:
            handler.wfile.write(start)
            while not self.stopping.wait(seconds):
                handler.wfile.write(b"a")
            return True

        self.misbehave = drip

    def flooding(self, start: bytes) -> None:
        """Send as much as the other side takes, without an end."""

        def flood(handler: BaseHTTPRequestHandler) -> bool:
            handler.wfile.write(start)
            end = time.monotonic() + 20
            while not self.stopping.is_set() and time.monotonic() < end:
                handler.wfile.write(bytes(1 << 16))
                self.flooded += 1 << 16
            return True

        self.misbehave = flood


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                served.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield served
        finally:
            served.stopping.set()
            server.shutdown()
            thread.join()
