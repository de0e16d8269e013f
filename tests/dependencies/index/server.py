"""A package index on a thread of the test: pages as PEP 503 and 691 have them, and whatever an index does wrong."""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/vnd.pypi.simple.v1+json"


class PackageIndex:
    """What it serves can be changed while it runs; `asked` is every request's path."""

    def __init__(self) -> None:
        self.pages: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.html = False
        self.metadata = True
        self.failures: list[int] = []
        """Statuses to answer with before anything else."""
        self.credentials = ""
        self.delay = 0.0
        self.drip = False
        self.redirect = ""
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0
        """Requests that were under way at the same time."""
        self.lock = threading.Lock()
        self.url = ""

    def add(self, name: str, version: str, **options: Any) -> None:
        """A wheel of a version; `requires`, `uploaded`, `yanked`, `python`, `sdist` say more of it."""
        python = options.get("python", "")
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += f"Requires-Python: {python}\n" if python else ""
        metadata += "".join(f"Requires-Dist: {one}\n" for one in options.get("requires", ()))
        metadata += "".join(f"Provides-Extra: {one}\n" for one in options.get("extras", ()))
        stem = f"{name.replace('-', '_')}-{version}"
        if options.get("sdist"):
            filename, data = f"{name}-{version}.tar.gz", f"an sdist of {name} {version}".encode()
        else:
            filename, data = f"{stem}-py3-none-any.whl", wheel(stem, metadata)
        path = f"/files/{filename}"
        self.files[path] = data
        entry: dict[str, Any] = {
            "filename": filename,
            "url": f"../..{path}",
            "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
            "requires-python": python or None,
            "upload-time": options.get("uploaded", "2024-01-01T00:00:00.000000Z"),
            "yanked": options.get("yanked", False),
        }
        if self.metadata and not options.get("sdist"):
            self.files[f"{path}.metadata"] = metadata.encode()
            entry["core-metadata"] = {"sha256": hashlib.sha256(metadata.encode()).hexdigest()}
        page = self.pages.setdefault(name, {"meta": {"api-version": "1.4"}, "name": name, "files": []})
        page["files"].append(entry)

    def page(self, name: str) -> tuple[str, bytes]:
        page = self.pages[name]
        if not self.html:
            return JSON, json.dumps(page).encode()
        lines = []
        for file in page["files"]:
            python = (file["requires-python"] or "").replace("<", "&lt;").replace(">", "&gt;")
            extra = f' data-requires-python="{python}"' if python else ""
            if file["yanked"] is not False:
                extra += f' data-yanked="{file["yanked"] if isinstance(file["yanked"], str) else ""}"'
            link = f"{file['url']}#sha256={file['hashes']['sha256']}"
            lines.append(f'<a href="{link}"{extra}>{file["filename"]}</a><br/>')
        return "text/html; charset=utf-8", f"<!DOCTYPE html><html><body>{''.join(lines)}</body></html>".encode()


def wheel(stem: str, metadata: str) -> bytes:
    """A wheel that holds its metadata, behind a file that nobody needs to fetch for it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{stem.partition('-')[0]}/weights.bin", bytes(range(256)) * 400)
        archive.writestr(f"{stem}.dist-info/METADATA", metadata)
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return buffer.getvalue()


@contextlib.contextmanager
def serving() -> Iterator[PackageIndex]:
    """The index runs while the block does; its `url` is that of the simple API."""
    index = PackageIndex()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            with index.lock:
                index.connections += 1

        def do_GET(self) -> None:
            index.asked.append(self.path)
            index.headers.append(dict(self.headers))
            with index.lock:
                index.at_once += 1
                index.most_at_once = max(index.most_at_once, index.at_once)
            with contextlib.suppress(ConnectionError):
                self._answer()
            with index.lock:
                index.at_once -= 1

        def _answer(self) -> None:
            time.sleep(index.delay)
            if index.drip:
                self._drip()
            elif index.failures:
                self._send(index.failures.pop(0), b"")
            elif index.redirect:
                self._send(302, b"", Location=index.redirect)
            elif index.credentials and self.headers.get("Authorization") != _basic(index.credentials):
                self._send(401, b"")
            elif self.path.startswith("/simple/") and self.path.strip("/").rpartition("/")[2] in index.pages:
                self._page(self.path.strip("/").rpartition("/")[2])
            elif self.path in index.files:
                self._file(index.files[self.path])
            else:
                self._send(404, b"")

        def _page(self, name: str) -> None:
            kind, body = index.page(name)
            etag = f'"{hashlib.sha256(body).hexdigest()}"'
            if self.headers.get("If-None-Match") == etag:
                self._send(304, b"", ETag=etag)
                return
            self._send(200, gzip.compress(body), ETag=etag, **{"Content-Type": kind, "Content-Encoding": "gzip"})

        def _file(self, data: bytes) -> None:
            wanted = self.headers.get("Range", "").removeprefix("bytes=")
            if not wanted:
                self._send(200, data)
                return
            first, _, last = wanted.partition("-")
            start = int(first) if first else max(0, len(data) - int(last))
            end = min(int(last), len(data) - 1) if first and last else len(data) - 1
            self._send(206, data[start : end + 1], **{"Content-Range": f"bytes {start}-{end}/{len(data)}"})

        def _drip(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(200):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)

        def _send(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Cache-Control": "max-age=0", "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, address: Any) -> None:
            """Clients that go away are what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
