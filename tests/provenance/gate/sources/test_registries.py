"""Evidence in a registry is attached to what a reference names, and held against its digests."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.core.gate_decision import PassedOver
from garrison.provenance.gate import Piece
from garrison.provenance.gate.sources import registries
from garrison.sources.oci import registry
from tests.sources.oci import memory
from tests.sources.oci.memory import INDEX, MANIFEST, Memory, descriptor, digest

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Memory]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(registry, "_WAIT", 0.01)
    with memory.serving() as running:
        yield running


@pytest.fixture
def model(server: Memory) -> str:
    """The digest of a model in the registry."""
    return server.artifact("application/vnd.cncf.model.manifest.v1+json", ("application/x", b"weights"), tag="1")


def found(server: Memory, what: str = ":1") -> tuple[list[bytes], list[str]]:
    """The statements, and why others could not be had."""
    pieces: list[bytes] = []
    reasons: list[str] = []
    for one in registries.attached(f"oci://{server.host}/team/digits{what}"):
        if isinstance(one, Piece):
            assert one.place == f"oci://{server.host}/team/digits@{digest(one.data)}"
            pieces.append(one.data)
        else:
            assert isinstance(one, PassedOver)
            reasons.append(one.reason)
    return pieces, reasons


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_bundles_that_refer_to_it(server: Memory, model: str, by: str) -> None:
    server.artifact(BUNDLE, (BUNDLE, b"one"), subject=model)
    server.artifact(BUNDLE, (BUNDLE, b"two"), subject=model)
    server.artifact("application/spdx+json", ("application/spdx+json", b"{}"), subject=model)
    other = server.artifact("application/x", ("application/x", b"other"))
    server.artifact(BUNDLE, (BUNDLE, b"of another"), subject=other)
    assert found(server, ":1" if by == "tag" else f"@{model}") == ([b"one", b"two"], [])


def test_a_list_of_several_pages(server: Memory, model: str) -> None:
    server.page = 2
    for number in range(5):
        server.artifact(BUNDLE, (BUNDLE, b"%d" % number), subject=model)
    assert found(server) == ([b"0", b"1", b"2", b"3", b"4"], [])


def test_nothing_is_attached(server: Memory, model: str) -> None:
    assert found(server) == ([], [])
    server.lists_referrers = False
    assert found(server) == ([], [])


def test_a_registry_that_lists_no_referrers_has_a_tag_instead(server: Memory, model: str) -> None:
    server.lists_referrers = False
    one = server.artifact(BUNDLE, (BUNDLE, b"one"), subject=model)
    manifests = [descriptor(server.manifests[one][1], MANIFEST, artifactType=BUNDLE)]
    server.put({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, tag=model.replace(":", "-"))
    assert found(server) == ([b"one"], [])


def test_envelopes_under_the_tag_of_older_cosign(server: Memory, model: str) -> None:
    server.artifact("", (ENVELOPE, b"old"), ("text/plain", b"note"), tag=f"{model.replace(':', '-')}.att")
    assert found(server) == ([b"old"], [])


def test_an_artifact_may_hold_the_statements_itself(server: Memory) -> None:
    server.artifact("application/x", (BUNDLE, b"one"), (ENVELOPE, b"two"), ("text/plain", b"x"), tag="1")
    assert found(server) == ([b"one", b"two"], [])


def test_the_same_statement_is_fetched_once(server: Memory, model: str) -> None:
    server.artifact(BUNDLE, (BUNDLE, b"one"), subject=model)
    server.artifact(BUNDLE, (BUNDLE, b"one"), subject=model, annotations={"a": "b"})
    assert found(server) == ([b"one"], [])


def test_an_artifact_that_is_not_there(server: Memory) -> None:
    assert found(server) == ([], [f"{server.host}/team/digits, 1: there is no such thing"])


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_WAIT", 0.01)
    (one,) = registries.attached("oci://127.0.0.1:1/team/digits:1")
    assert isinstance(one, PassedOver) and "refused" in one.reason


@pytest.mark.parametrize("text", ["oci://", "oci://a b/c", "oci://r.io/x@sha256:1"])
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(UsageError):
        list(registries.attached(text))


def answer(body: object, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return 200, headers, body if isinstance(body, bytes) else json.dumps(body).encode()


HOSTILE_LISTS = {
    "no JSON": (answer(b"<html>"), "not valid JSON"),
    "a list": (answer([]), "no JSON object"),
    "huge": (answer(b" " * ((8 << 20) + 1)), "more than"),
    "a digest that leads elsewhere": (answer({"manifests": [{"digest": "../../x"}]}), "is no digest"),
    "too many": (answer({"manifests": [{"digest": f"sha256:{'0' * 64}"}] * 513}), "more than 512"),
    "that goes on elsewhere": (answer({}, link='<http://127.0.0.1:9/v2/x>; rel="next"'), "goes on elsewhere"),
    "that goes on for ever": (answer({}, link='<?again>; rel="next"'), "more than 16 pages"),
    "denied": ((403, {}, b""), "does not allow"),
    "failing": ((500, {}, b""), "answers 500"),
}


@pytest.mark.parametrize("case", HOSTILE_LISTS)
def test_a_list_of_referrers_may_be_hostile(server: Memory, model: str, case: str) -> None:
    server.answers[model], reason = HOSTILE_LISTS[case]
    server.manifests["1"] = server.manifests[model]
    _, reasons = found(server)
    assert len(reasons) == 1 and reason in reasons[0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"other", "other bytes"), (b"longer than it", "gives more than the 3 bytes"), (b"", "broke off after 0 of 3")],
)
def test_a_statement_of_other_bytes_is_not_taken_and_the_others_are(
    server: Memory, model: str, body: bytes, reason: str
) -> None:
    server.artifact(BUNDLE, (BUNDLE, b"one"), subject=model)
    server.artifact(BUNDLE, (BUNDLE, b"two"), subject=model)
    server.answers[digest(b"one")] = answer(body[:3] if reason == "other bytes" else body)
    pieces, reasons = found(server)
    assert pieces == [b"two"] and len(reasons) == 1 and reason in reasons[0]


def test_a_manifest_of_other_bytes_is_not_taken(server: Memory, model: str) -> None:
    one = server.artifact(BUNDLE, (BUNDLE, b"one"), subject=model)
    server.artifact(BUNDLE, (BUNDLE, b"two"), subject=model)
    server.answers[one] = answer({"layers": []})
    pieces, reasons = found(server)
    assert pieces == [b"two"] and len(reasons) == 1 and "the registry gave" in reasons[0]


def test_a_statement_that_says_it_is_huge_is_not_fetched(server: Memory, model: str) -> None:
    huge = {"mediaType": BUNDLE, "digest": f"sha256:{'0' * 64}", "size": 1 << 40}
    server.put({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [huge]}, tag="1")
    pieces, reasons = found(server)
    assert not pieces and "said to have" in reasons[0]
    assert not [path for _, path in server.requests if "/blobs/" in path]


def test_all_of_it_has_an_end(server: Memory, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server.artifact(BUNDLE, (BUNDLE, b"one"), subject=model)
    monkeypatch.setattr(registries, "_SECONDS", -1.0)
    pieces, reasons = found(server)
    assert not pieces and all("not fetched within" in reason for reason in reasons) and reasons


def test_documents_nested_without_an_end(server: Memory, model: str) -> None:
    server.artifact(BUNDLE, (BUNDLE, b"one"), subject=model)
    server.answers["1"] = 200, {}, b'{"layers":' + b"[" * 200_000
    assert "not valid JSON" in found(server)[1][0]


def test_a_slow_registry_has_its_time_once(server: Memory, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not again for each page, each blob and each try."""
    server.page = 1
    for number in range(3):
        server.artifact(BUNDLE, (BUNDLE, b"%d" % number), subject=model)

    def asked() -> int:
        return sum("/referrers/" in path for _, path in server.requests)

    monkeypatch.setattr(registry.time, "monotonic", lambda: 301.0 * asked())
    pieces, reasons = found(server)
    assert not pieces and "not fetched within 300 seconds" in reasons[-1] and asked() == 1


NOWHERE = ["http://[::1", "/x/é", "https://a b/", f"https://{'a' * 70}.example/", "https://x:99999/", "/x\ty"]


@pytest.mark.parametrize("place", NOWHERE)
def test_redirects_and_realms_that_are_no_addresses(server: Memory, model: str, place: str) -> None:
    for status, headers in (302, {"location": place}), (401, {"www_authenticate": f'Bearer realm="{place}"'}):
        server.answers["1"] = status, headers, b""
        pieces, reasons = found(server)
        assert not pieces and len(reasons) == 1


@pytest.mark.parametrize("place", ["http://[::1", "http://[x]/"])
def test_lists_that_go_on_nowhere(server: Memory, model: str, place: str) -> None:
    server.answers[model] = 200, {"link": f'<{place}>; rel="next"'}, b'{"manifests":[]}'
    assert "no address" in found(server)[1][0]
