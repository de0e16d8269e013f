"""A registry on this machine that misbehaves as it is told to."""

import base64
import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

LOGIN = base64.b64encode(b"user:pass word").decode()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, blobs: Mapping[str, bytes], manifest: str, media_type: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs = dict(blobs)
        """By digest, manifests too."""
        self.manifest = manifest
        self.media_type = media_type
        self.mood = ""
        self.victim = ""
        """The digest that the mood is about; empty for all."""
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.cuts = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        server = self.server
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.requests.append((self.path, headers))
        path, _, _ = self.path.partition("?")
        authorization = headers.get("authorization", "")
        if path == "/token":
            wanted = f"Basic {LOGIN}" if server.mood == "private" else authorization
            self.answer(*((200, b'{"token": "opensesame"}') if authorization == wanted else (401, b"")))
        elif server.mood in ("token", "private") and authorization != "Bearer opensesame":
            realm = f'Bearer realm="http://{server.host}/token",service="test",scope="repository:team/app:pull"'
            self.answer(401, www_authenticate=realm)
        elif server.mood == "basic" and authorization != f"Basic {LOGIN}":
            self.answer(401, www_authenticate='Basic realm="x"')
        elif server.mood == "circle":
            self.answer(307, location=self.path)
        elif "/manifests/" in path:
            self.manifest(path.rpartition("/")[2])
        else:
            self.blob(path.rpartition("/")[2])

    def manifest(self, wanted: str) -> None:
        digest = wanted if ":" in wanted else self.server.manifest
        if digest not in self.server.blobs:
            self.answer(404)
        elif self.server.mood == "huge manifest":
            self.answer(200, b" " * (9 << 20))
        elif self.server.mood == "wrong manifest" and ":" in wanted:
            self.answer(200, self.server.blobs[digest] + b" ", content_type=self.server.media_type)
        else:
            kind = (
                self.server.media_type
                if digest == self.server.manifest
                else "application/vnd.oci.image.manifest.v1+json"
            )
            self.answer(200, self.server.blobs[digest], content_type=kind)

    def blob(self, digest: str) -> None:
        server = self.server
        data = server.blobs[digest]
        mood = server.mood if server.victim in ("", digest) else ""
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        if mood == "wrong":
            self.answer(200, bytes(len(data)))
        elif mood == "missing":
            self.answer(404)
        elif mood == "busy" and server.cuts == 0:
            server.cuts += 1
            self.answer(503)
        elif mood == "redirect" and "moved" not in self.path:
            self.answer(307, location=f"http://localhost:{server.server_address[1]}{self.path}?moved")
        elif mood in ("cut", "cut for ever") and (server.cuts == 0 or mood == "cut for ever"):
            server.cuts += 1
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.wfile.write(data[start : start + 10])
        elif mood == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(1 << 16))
            except OSError:
                return
        elif start:
            self.answer(206, data[start:])
        else:
            self.answer(200, data)


@contextmanager
def serving(blobs: Mapping[str, bytes], manifest: str, media_type: str) -> Iterator[Server]:
    with Server(blobs, manifest, media_type) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
