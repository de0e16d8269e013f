"""What is attached in a registry is found there again, by whatever way the registry has."""

import contextlib
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from garrison.provenance.attestations.attaching import attach
from garrison.provenance.bundles import write
from garrison.provenance.gate import Piece
from garrison.provenance.gate.sources.registries import attached
from garrison.provenance.keys import KeySigner
from garrison.provenance.trust import Refused
from garrison.sources.oci import connection, registry
from garrison.sources.oci.connection import Unreachable
from garrison.sources.oci.reference import parse
from tests.sources.oci import memory, real_registry
from tests.sources.oci.memory import INDEX, MANIFEST, Memory, descriptor

SIGNER = KeySigner(ed25519.Ed25519PrivateKey.generate())
STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://x/%d","predicate":{}}'
BUNDLES = [write(STATEMENT % number, SIGNER) for number in range(3)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Memory]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(registry, "_WAIT", 0.01)
    with memory.serving() as running:
        running.artifact("application/x", ("application/x", b"weights"), tag="1")
        yield running


def found(reference: str) -> list[bytes]:
    return [one.data for one in attached(reference) if isinstance(one, Piece)]


@pytest.mark.parametrize("lists", [True, False])
def test_what_is_attached_is_found(server: Memory, lists: bool) -> None:
    server.lists_referrers = lists
    reference = f"oci://{server.host}/team/digits:1"
    places = [attach(bundle, reference) for bundle in BUNDLES]
    assert found(reference) == BUNDLES
    assert attach(BUNDLES[0], reference) == places[0] and len(found(reference)) == 3
    name = places[0].partition("@")[2]
    document = json.loads(server.manifests[name][1])
    assert document["subject"] == descriptor(server.manifests["1"][1], MANIFEST)
    assert document["annotations"]["dev.sigstore.bundle.predicateType"] == "https://x/0"
    tag = document["subject"]["digest"].replace(":", "-")
    assert (tag in server.manifests) is not lists
    if not lists:
        index = json.loads(server.manifests[tag][1])
        assert index["mediaType"] == INDEX and len(index["manifests"]) == 3


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", write(b"x", SIGNER)])
def test_what_is_no_statement_is_not_attached(server: Memory, data: bytes) -> None:
    with pytest.raises(Refused):
        attach(data, f"oci://{server.host}/team/digits:1")
    assert not server.requests


@pytest.mark.parametrize("command", ["/v2/team/digits/blobs/uploads/", "1"])
def test_a_registry_that_takes_nothing(server: Memory, command: str) -> None:
    server.answers[command.rpartition("/")[2]] = (403, {}, b"")
    with pytest.raises(Unreachable, match="does not allow"):
        attach(BUNDLES[0], f"oci://{server.host}/team/digits:1")


def test_a_real_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with real_registry.serving(tmp_path) as host:
        for blob in (b"{}", b"weights"):
            registry.Registry(registry.Reference(host, "team/digits")).put_blob(blob)
        model = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(b"{}", "application/vnd.cncf.model.config.v1+json"),
            "layers": [descriptor(b"weights", "application/vnd.cncf.model.weight.v1.raw")],
        }
        client = registry.Registry(registry.Reference(host, "team/digits"))
        client.put_manifest("1", json.dumps(model).encode(), MANIFEST)
        reference = f"oci://{host}/team/digits:1"
        places = [attach(bundle, reference) for bundle in BUNDLES]
        assert found(reference) == BUNDLES
        skopeo = shutil.which("skopeo")
        if skopeo:
            address = places[0].replace("oci://", "docker://")
            shown = subprocess.run([skopeo, "inspect", "--raw", "--tls-verify=false", address], capture_output=True)
            assert json.loads(shown.stdout)["layers"][0]["size"] == len(BUNDLES[0])
        with urllib.request.urlopen(f"http://{host}/v2/team/digits/tags/list") as listed:
            assert len(json.load(listed)["tags"]) == 2


def test_nothing_is_put_on_this_machine_for_a_registry_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    @contextlib.contextmanager
    def ask(url: str, *_: Any, **__: Any) -> Iterator[connection.Exchange]:
        asked.append(url)
        head = connection.Head(202, url, {"location": "http://localhost:8080/admin?run=1"})
        yield connection.Exchange(head, cast("Any", None), 0)

    monkeypatch.setattr(connection, "ask", ask)
    with pytest.raises(Unreachable, match="is on this machine"):
        registry.Registry(parse("oci://registry.example/team/digits")).put_blob(b"x")
    assert len(asked) == 1
