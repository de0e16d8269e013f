"""A registry in memory that takes and gives manifests and blobs, and lists referrers if it is told to."""

import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


class Memory(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        """Media type and bytes, by digest and by tag."""
        self.lists_referrers = True
        self.page = 100
        """Referrers in one answer."""
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        """What is answered in place of the truth, by the end of the path."""
        self.requests: list[tuple[str, str]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def put(self, document: dict[str, Any], *blobs: bytes, tag: str = "") -> str:
        """Put a manifest with its blobs; returns its digest."""
        data = json.dumps(document).encode()
        for name in (digest(data), *([tag] if tag else [])):
            self.manifests[name] = (document["mediaType"], data)
        self.blobs |= {digest(blob): blob for blob in blobs}
        return digest(data)

    def artifact(
        self, artifact_type: str, *layers: tuple[str, bytes], subject: str = "", tag: str = "", **more: Any
    ) -> str:
        """Put an artifact of layers, each with its media type, about another manifest."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": descriptor(b"{}", EMPTY),
            "layers": [descriptor(data, kind) for kind, data in layers],
            **more,
        }
        if subject:
            document["subject"] = descriptor(self.manifests[subject][1], MANIFEST)
        return self.put(document, b"{}", *(data for _, data in layers), tag=tag)

    def referrers(self, about: str) -> list[dict[str, Any]]:
        found = {}
        for kind, data in self.manifests.values():
            document = json.loads(data)
            if isinstance(document, dict) and document.get("subject", {}).get("digest") == about:
                found[digest(data)] = descriptor(data, kind, artifactType=document.get("artifactType"))
        return list(found.values())


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Memory

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def truth(self) -> str:
        """The last part of the path, unless another answer is given in its place."""
        path = urllib.parse.unquote(self.path.partition("?")[0])
        self.server.requests.append((self.command, path))
        last = path.rpartition("/")[2]
        if last in self.server.answers:
            status, headers, body = self.server.answers[last]
            self.answer(status, body, **headers)
            return ""
        return last

    def do_GET(self) -> None:
        last = self.truth()
        if not last:
            return
        if "/manifests/" in self.path and last in self.server.manifests:
            kind, data = self.server.manifests[last]
            self.answer(200, data, content_type=kind)
        elif "/blobs/" in self.path and last in self.server.blobs:
            self.answer(200, self.server.blobs[last])
        elif "/referrers/" in self.path and self.server.lists_referrers:
            self.referrers(last)
        else:
            self.answer(404)

    def referrers(self, about: str) -> None:
        start = int(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("from", ["0"])[0])
        found = self.server.referrers(about)
        page = found[start : start + self.server.page]
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": page}).encode()
        more = {}
        if start + self.server.page < len(found):
            more["link"] = f'<{self.path.partition("?")[0]}?from={start + self.server.page}>; rel="next"'
        self.answer(200, body, content_type=INDEX, **more)

    def do_POST(self) -> None:
        if self.truth() or self.path.endswith("/"):
            self.answer(202, location="/v2/uploads/1?state=x")

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        last = self.truth()
        if "/manifests/" in self.path:
            self.put_manifest(last, data)
        elif re.findall(r"digest=([^&]+)", urllib.parse.unquote(self.path)) == [digest(data)]:
            self.server.blobs[digest(data)] = data
            self.answer(201)
        elif last:
            self.answer(400)

    def put_manifest(self, name: str, data: bytes) -> None:
        if name.startswith("sha256:") and name != digest(data):
            self.answer(400)
        elif name:
            document = json.loads(data)
            for one in {name, digest(data)}:
                self.server.manifests[one] = (self.headers["Content-Type"], data)
            known = self.server.lists_referrers and "subject" in document
            self.answer(201, **({"oci_subject": document["subject"]["digest"]} if known else {}))


@contextmanager
def serving() -> Iterator[Memory]:
    with Memory() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
