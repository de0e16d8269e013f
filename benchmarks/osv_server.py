"""Serves an OSV export on this machine the way api.osv.dev does, for auditors that can be pointed at another address.

    python benchmarks/osv_server.py all.zip [--port 8321]

Answers `POST /v1/query`, `POST /v1/querybatch` and `GET /v1/vulns/ID` from memory. It matches by itself, with
`packaging` and nothing of garrison's: explicit versions, else the events of ranges that are versions. An advisory that
cannot be decided so is not answered.
"""

import argparse
import functools
import json
import re
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version


class Export:
    """Advisories by package and by id, as JSON that is ready to be sent."""

    def __init__(self, path: Path) -> None:
        self.texts: dict[str, bytes] = {}
        self.packages: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        self.modified: dict[str, str] = {}
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                document = json.loads(archive.read(member))
                self.texts[document["id"]] = json.dumps(document).encode()
                self.modified[document["id"]] = document["modified"]
                for affected in document.get("affected", ()) if "withdrawn" not in document else ():
                    package = affected.get("package", {})
                    if package.get("ecosystem") == "PyPI":
                        self.packages.setdefault(canonical(package["name"]), []).append((document["id"], affected))

    @functools.cache  # noqa: B019 - one export for the life of the process
    def query(self, name: str, version: str) -> tuple[str, ...]:
        """Ids of the advisories that hold for a version."""
        found = {id: None for id, affected in self.packages.get(canonical(name), ()) if holds(affected, version)}
        return tuple(found)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def holds(affected: dict[str, Any], text: str) -> bool:
    if text in affected.get("versions", ()):
        return True
    try:
        version = Version(Version(text).public)
    except InvalidVersion:
        return False
    return any(between(one["events"], version) for one in affected.get("ranges", ()) if one["type"] != "GIT")


def between(events: list[dict[str, str]], version: Version) -> bool:
    """Whether the last event before the version leaves it affected; nobody can tell if one cannot be placed."""
    placed: list[tuple[Version, str]] = []
    for event in events:
        for kind, bound in event.items():
            try:
                placed.append((Version(bound), kind))
            except InvalidVersion:
                return False
    affected = False
    for bound, kind in sorted(placed, key=lambda item: item[0]):
        if kind == "introduced" and (version >= bound or bound == Version("0")):
            affected = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            affected = False
    return affected


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    export: Export

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.rstrip("/").endswith("/querybatch"):
            self._send(json.dumps({"results": [self._brief(one) for one in body["queries"]]}).encode())
        else:
            texts = [self.export.texts[id] for id in self._found(body)]
            self._send(b'{"vulns": [' + b",".join(texts) + b"]}" if texts else b"{}")

    def do_GET(self) -> None:
        text = self.export.texts.get(self.path.rpartition("/")[2])
        self._send(text or b"{}", 200 if text else 404)

    def _found(self, query: dict[str, Any]) -> tuple[str, ...]:
        return self.export.query(query["package"]["name"], query["version"])

    def _brief(self, query: dict[str, Any]) -> dict[str, Any]:
        found = self._found(query)
        return {"vulns": [{"id": id, "modified": self.export.modified[id]} for id in found]} if found else {}

    def _send(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="an export of OSV: all.zip of PyPI")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    Handler.export = Export(options.export)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
