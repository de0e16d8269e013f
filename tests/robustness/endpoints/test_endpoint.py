"""Endpoints as classifiers: what is asked, what an answer is, and what is said of one that is none."""

import datetime
import socket
import ssl
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.robustness.attacks.square import Square
from garrison.robustness.classifier import Classifier, QueriesSpent
from garrison.robustness.endpoints.endpoint import endpoint
from garrison.robustness.endpoints.template import Template
from garrison.robustness.endpoints.transport import EndpointError, Patience
from tests.robustness.endpoints import server as faults
from tests.robustness.endpoints.server import Fault, Server

SAMPLE = np.random.default_rng(0).random((4, 4), np.float32)
SHORT = Patience(seconds=0.4, retry_seconds=0.6, response_bytes=100_000)


def opened(address: str | Template, **options: Any) -> Classifier:
    return endpoint(address, SAMPLE, **{"classes": 3, "patience": SHORT, **options})


def asked(classifier: Classifier, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return classifier.scores(torch.from_numpy(inputs)).numpy()


@pytest.mark.parametrize(
    ("scores", "outputs"),
    [(faults.logits, "logits"), (faults.probabilities, "probabilities"), (faults.decisions, "labels")],
)
@pytest.mark.parametrize("path", ["/v2/models/m", "/v2/models/m/infer", "/v1/models/m", "/v1/models/m:predict"])
def test_an_endpoint_answers_as_its_model_does(scores: Any, outputs: str, path: str, server: Server) -> None:
    server.scores = scores
    classifier = opened(server.address + path)
    assert classifier.outputs == outputs
    assert not classifier.differentiable
    inputs = np.random.default_rng(1).random((70, 4), np.float32)
    found = asked(classifier, inputs)
    expected = np.eye(3)[scores(inputs)] if outputs == "labels" else scores(inputs)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert server.asked == len(SAMPLE) + 70
    assert max(len(document.get("instances", [])) for _, _, document in server.requests) <= 32


def test_pictures_are_sent_in_the_shape_that_the_model_wants(server: Server) -> None:
    pictures = SAMPLE.reshape(4, 1, 2, 2)
    classifier = endpoint(server.model, pictures, classes=3)
    np.testing.assert_allclose(asked(classifier, pictures), faults.logits(SAMPLE), atol=1e-5)
    assert server.requests[0][2]["inputs"][0]["shape"] == [4, 4]


def test_a_model_without_metadata_is_asked_in_the_shape_of_the_data(server: Server) -> None:
    server.metadata = {"name": "m", "platform": "", "inputs": [], "outputs": []}
    np.testing.assert_allclose(asked(opened(server.model), SAMPLE), faults.logits(SAMPLE), atol=1e-5)
    assert server.requests[0][2]["inputs"][0] == {
        "name": "input-0", "shape": [4, 4], "datatype": "FP32", "data": SAMPLE.ravel().tolist()
    }  # fmt: skip


def test_whole_numbers_are_sent_to_a_model_that_wants_them(server: Server) -> None:
    server.metadata["inputs"][0]["datatype"] = "UINT8"
    endpoint(server.model, np.array([[0, 1.6, 255, 300]], np.float32), classes=3, high=255)
    assert server.requests[0][2]["inputs"][0]["data"] == [0, 2, 255, 255]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([{"name": "x", "datatype": "FP32", "shape": [-1, 5]}], r"shape \[-1, 5\], and the data has \[4\]"),
        ([{"name": "x", "datatype": "BYTES", "shape": [-1, 4]}], "BYTES.*no numbers"),
        ([{"name": "x"}, {"name": "z"}], r"2 inputs \('x', 'z'\)"),
    ],
)
def test_a_model_that_wants_something_else_is_said(inputs: Any, said: str, server: Server) -> None:
    server.metadata["inputs"] = inputs
    with pytest.raises(UsageError, match=said):
        opened(server.model)
    assert server.asked == 0


def test_one_number_for_two_classes_is_the_probability_of_the_second(server: Server) -> None:
    server.scores = lambda inputs: faults.probabilities(inputs)[:, 1]
    classifier = opened(server.model, classes=2)
    assert classifier.outputs == "probabilities"
    np.testing.assert_allclose(asked(classifier, SAMPLE)[:, 1], server.scores(SAMPLE), atol=1e-5)


def test_what_answers_are_can_be_said(server: Server) -> None:
    server.scores = faults.probabilities
    assert opened(server.model, outputs="logits").outputs == "logits"


FAULTS: dict[str, tuple[Fault, str]] = {
    "a refusal": (faults.status(400, "bad\x1b[31m tensor\n"), r"answers 400: bad \[31m tensor$"),
    "an error": (faults.status(500, "Internal Server Error"), "answers 500: Internal Server Error"),
    "no JSON": (faults.body(b"<html>"), "no JSON: <html>"),
    "deep JSON": (faults.body(b"[" * 50_000), "no JSON"),
    "more than is read": (faults.body(b"1" * 100_001), "more than 100,000 bytes"),
    "another host": (
        faults.status(307, Location="http://elsewhere.example/?key=1"),
        "redirects to http://elsewhere.exam",
    ),
    "NaN": (faults.answer([float("nan")] * 12, [4, 3]), "no finite numbers"),
    "null": (faults.answer([None] * 12, [4, 3]), "no finite numbers"),
    "texts": (faults.answer(["a"] * 12, [4, 3]), "no numbers"),
    "an object": (faults.answer({"a": 1}, [4, 3]), "without data"),
    "too few rows": (faults.answer([0.1] * 9, [3, 3]), "3 rows for 4 inputs"),
    "a wrong shape": (faults.answer([0.1] * 9, [4, 3]), "9 elements for the shape"),
    "no shape": (faults.answer([0.1] * 9, [-1, 3]), "without a shape"),
    "no outputs": (faults.body(b"{}"), "without outputs"),
    "a list": (faults.body(b"[]"), "without outputs"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_answer_that_is_none_is_said_in_one_line(name: str, server: Server) -> None:
    fault, said = FAULTS[name]
    server.faults = [fault]
    with pytest.raises(EndpointError, match=said) as raised:
        opened(server.model)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


RETRIED: dict[str, Fault] = {
    "busy": faults.status(503),
    "too many requests": faults.status(429, Retry_After="0"),
    "a reset": faults.reset,
    "slow": faults.slow(0.6),
    "dripping": faults.drip,
    "cut off": faults.body(b"{}", Content_Length="900"),
}


@pytest.mark.parametrize("name", RETRIED)
def test_what_another_try_may_mend_is_tried_again(name: str, server: Server) -> None:
    server.faults = [lambda _: False, RETRIED[name]]
    classifier = opened(server.model, patience=Patience(seconds=0.4, retry_seconds=20))
    np.testing.assert_allclose(asked(classifier, SAMPLE), faults.logits(SAMPLE), atol=1e-5)
    assert classifier.forward.asked == 8  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.status(503, "overloaded"), "answers 503: overloaded"),
        (faults.status(429, "later", Retry_After="3600"), "answers 429: later"),
        (faults.reset, "does not answer"),
        (faults.drip, "does not answer: no answer in time"),
    ],
)
def test_trying_again_has_an_end(fault: Fault, said: str, server: Server) -> None:
    server.faults = [fault] * 50
    with pytest.raises(EndpointError, match=said):
        opened(server.model)


def test_an_endpoint_that_is_not_there_is_said() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(EndpointError, match="does not answer: connection refused"):
            opened(f"http://127.0.0.1:{unused.getsockname()[1]}/v2/models/m")


def test_classes_that_change_between_answers_are_said(server: Server) -> None:
    classifier = opened(server.model)
    server.scores = lambda inputs: faults.logits(inputs)[:, :2]
    with pytest.raises(EndpointError, match="2 classes, and the data has 3"):
        asked(classifier, SAMPLE)


def test_labels_beyond_the_classes_are_said(server: Server) -> None:
    server.scores = lambda inputs: faults.decisions(inputs) + 1
    with pytest.raises(EndpointError, match="decides for class 3, and the data has 0 to 2"):
        endpoint(server.model, np.eye(4, dtype=np.float32), classes=3)


def test_scores_after_decisions_are_said(server: Server) -> None:
    server.scores = faults.decisions
    classifier = opened(server.model)
    server.scores = faults.logits
    with pytest.raises(EndpointError, match="decisions before, and now with scores"):
        asked(classifier, SAMPLE)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://localhost/v2/models/m", "no http or https"),
        ("http://localhost/models/m", "names no model"),
        ("http://user:secret@localhost/v2/models/m", "credentials in a header"),
        ("http://localhost:port/v2/models/m", "no address"),
        ("http://localhost/v2/models/a b", "no spaces"),
        ("http://localhost/v2/models/\u00e9", "only ASCII"),
    ],
)
def test_addresses_that_are_none_are_refused_without_their_secrets(address: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        opened(address)
    assert "secret" not in str(raised.value)


def test_more_than_the_budget_is_not_sent(server: Server) -> None:
    classifier = opened(server.model, budget=10)
    asked(classifier, SAMPLE)
    with pytest.raises(QueriesSpent, match="budget of 10 queries is spent: 8 were asked"):
        asked(classifier, SAMPLE)
    assert server.asked == 8
    asked(classifier, SAMPLE[:2])
    assert server.asked == 10


def test_an_attack_ends_within_the_budget_with_what_it_has(server: Server) -> None:
    classifier = opened(server.model, budget=150)
    inputs = torch.rand((20, 4), generator=torch.Generator().manual_seed(2))
    labels = torch.from_numpy(faults.decisions(inputs.numpy()))
    outcome = Square(queries=100)(classifier, inputs, labels, [0.2], seed=0)
    assert "150 queries" in outcome.incomplete
    assert outcome.queries.sum() + len(SAMPLE) == server.asked == 150
    assert outcome.success.any()


def test_headers_are_sent_and_never_shown(server: Server) -> None:
    server.faults = [faults.status(403, "no: s3cret is wrong")]
    with pytest.raises(EndpointError, match=r"no: \*\*\* is wrong"):
        opened(server.model, headers={"X-Key": "s3cret"})
    assert server.requests[0][1]["X-Key"] == "s3cret"
    with pytest.raises(UsageError) as raised:
        opened(server.model, headers={"X-Key": "s3cret\r\nX: y"})
    assert "s3cret" not in str(raised.value)


def test_proxies_of_the_environment_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    assert opened(server.model).classes == 3


def test_a_certificate_that_nobody_vouches_for_ends_it_at_once(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "pem").write_bytes(certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    with faults.serving() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        with pytest.raises(EndpointError, match="its certificate is not trusted"):
            opened(f"https://localhost:{server.server_address[1]}/v2/models/m", patience=Patience())
        assert server.requests == []


def test_a_host_where_nobody_listens_is_not_waited_for() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    waiting: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("garrison.robustness.endpoints.transport.time.sleep", waiting.append)
        with pytest.raises(EndpointError, match="does not answer"):
            opened(f"http://127.0.0.1:{port}/v2/models/m")
    assert waiting == []
