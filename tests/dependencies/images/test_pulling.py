"""An image of a registry is fetched whole or not at all, every byte against its digest, and never hangs a scan."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import garrison
from garrison.core.errors import UsageError
from garrison.core.report import Report
from garrison.sources.oci import registry
from tests.dependencies.formats.test_image_archive import BASE, PICKLE
from tests.dependencies.images.builder import GZIP, OCI, blob, digest, index, layout, tar
from tests.sources.oci import real_registry
from tests.sources.oci import server as servers
from tests.sources.oci.server import LOGIN, Server

LAYERS = [BASE, tar({"app/m.pkl": PICKLE})]
FILES = layout(LAYERS)
MANIFEST = json.loads(FILES["index.json"])["manifests"][0]
BLOBS = {"sha256:" + path.rpartition("/")[2]: data for path, data in FILES.items() if path.startswith("blobs/")}
BYTES = "application/octet-stream"
TOP_LAYER = json.loads(BLOBS[MANIFEST["digest"]])["layers"][1]["digest"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(registry, "_WAIT", 0.01)
    with servers.serving(BLOBS, MANIFEST["digest"], OCI + "manifest.v1+json") as running:
        yield running
    assert not list(tmp_path.glob("garrison-*")), "the temporary layout is removed"


def log_in(folder: Path, host: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": LOGIN}}}))


def scanned(server: Server, reference: str = "team/app:1") -> Report:
    return garrison.scan(f"docker://{server.host}/{reference}", jobs=1)


def rules(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings if finding.severity.rank > 0}


def test_an_image_is_examined(server: Server) -> None:
    report = scanned(server)
    assert "dangerous-import" in rules(report) and report.coverage.failed == 0
    assert f"docker://{server.host}/team/app:1!/app/m.pkl" in {item.subject for item in report.inventory}
    assert "dangerous-import" in rules(scanned(server, f"team/app@{MANIFEST['digest']}"))


@pytest.mark.parametrize("mood", ["token", "private", "basic"])
def test_who_asks_is_told_when_it_is_asked_for(server: Server, mood: str, tmp_path: Path) -> None:
    log_in(tmp_path, server.host)
    server.mood = mood
    assert "dangerous-import" in rules(scanned(server))


def test_without_a_login_it_says_so(server: Server) -> None:
    server.mood = "private"
    with pytest.raises(UsageError, match="docker login"):
        scanned(server)


def test_credentials_are_not_sent_to_where_blobs_are_redirected(server: Server, tmp_path: Path) -> None:
    log_in(tmp_path, server.host)
    server.mood = "redirect"
    assert "dangerous-import" in rules(scanned(server))
    moved = [headers for path, headers in server.requests if "moved" in path]
    assert moved and not any("authorization" in headers for headers in moved)


@pytest.mark.parametrize("mood", ["cut", "busy"])
def test_what_breaks_off_is_gone_on_with(server: Server, mood: str) -> None:
    server.mood, server.victim = mood, TOP_LAYER
    assert "dangerous-import" in rules(scanned(server))
    if mood == "cut":
        assert any(headers.get("range") == "bytes=10-" for _, headers in server.requests)


@pytest.mark.parametrize("mood", ["wrong", "endless", "wrong manifest"])
def test_other_bytes_than_promised_deny(server: Server, mood: str) -> None:
    server.mood = mood
    report = scanned(server, f"team/app@{MANIFEST['digest']}")
    assert rules(report) == {"image-mismatch"} and not report.decision.allowed


@pytest.mark.parametrize("mood", ["missing", "cut for ever", "huge manifest", "circle"])
def test_what_the_registry_does_not_give_is_an_error(server: Server, mood: str) -> None:
    server.mood = mood
    with pytest.raises(UsageError):
        scanned(server)


def test_an_image_that_is_not_there(server: Server) -> None:
    server.manifest = "sha256:" + "0" * 64
    with pytest.raises(UsageError, match="no such thing"):
        scanned(server)


def test_nobody_answers() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(UsageError, match="refused"):
            garrison.scan(f"docker://127.0.0.1:{unused.getsockname()[1]}/a", jobs=1)


def test_a_server_that_says_nothing_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UsageError, match="too long"):
        garrison.scan(f"docker://127.0.0.1:{silent.getsockname()[1]}/a", jobs=1)


def test_of_several_platforms_one_is_fetched(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    layer = tar({"app/arm.pkl": PICKLE})
    config = b'{"architecture": "arm64"}'
    manifest = {
        "mediaType": OCI + "manifest.v1+json",
        "config": blob(config, OCI + "config.v1+json"),
        "layers": [blob(layer, GZIP)],
    }
    arm = json.dumps(manifest).encode()
    listed = {
        "mediaType": OCI + "index.v1+json",
        "manifests": [
            {**MANIFEST, "platform": {"os": "linux", "architecture": "amd64"}},
            blob(arm, OCI + "manifest.v1+json", platform={"os": "linux", "architecture": "arm64", "variant": "v8"}),
        ],
    }
    top = json.dumps(listed).encode()
    server.blobs |= {digest(data): data for data in (arm, config, layer, top)}
    server.manifest, server.media_type = digest(top), OCI + "index.v1+json"
    report = scanned(server)
    assert any(item.subject.endswith("!/app/arm.pkl") for item in report.inventory)
    assert [entry.reason for entry in report.coverage.entries] == [
        "for linux/amd64; the image for linux/arm64/v8 is examined"
    ]


@pytest.fixture
def real(tmp_path: Path) -> Iterator[str]:
    with real_registry.serving(tmp_path) as host:
        yield host


def request(method: str, url: str, data: bytes, kind: str) -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind}))


def push(host: str, repository: str, files: dict[str, bytes]) -> None:
    descriptor = json.loads(files["index.json"])["manifests"][0]
    for path, data in files.items():
        if path.startswith("blobs/"):
            with request("POST", f"http://{host}/v2/{repository}/blobs/uploads/", b"", BYTES) as opened:
                place = opened.headers["Location"]
            mark = "&" if "?" in place else "?"
            request("PUT", f"{place}{mark}digest={digest(data)}", data, BYTES).close()
    manifest = files[f"blobs/sha256/{descriptor['digest'][7:]}"]
    request("PUT", f"http://{host}/v2/{repository}/manifests/latest", manifest, descriptor["mediaType"]).close()


def test_a_real_registry(real: str) -> None:
    push(real, "team/app", FILES)
    report = garrison.scan(f"docker://{real}/team/app", jobs=1)
    assert "dangerous-import" in rules(report) and report.coverage.failed == 0
    artifact = {
        "schemaVersion": 2,
        "mediaType": OCI + "manifest.v1+json",
        "config": blob(b"{}", "application/vnd.cnai.model.config.v1+json"),
        "layers": [blob(PICKLE, "application/vnd.x", annotations={"org.opencontainers.image.title": "w.pkl"})],
    }
    push(real, "models/m", index([(artifact, [b"{}", PICKLE])]))
    found = garrison.scan(f"oci://{real}/models/m", jobs=1)
    assert f"oci://{real}/models/m!/w.pkl" in {item.subject for item in found.inventory}
