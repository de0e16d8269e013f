"""Which requests become calls, and who answers them."""

import asyncio
import json

import pytest

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call, Peer
from garrison.serving.config.config import Model
from garrison.serving.http.gateway import Gateway
from garrison.serving.http.plain import served
from garrison.serving.http.routes import Route
from garrison.serving.http.settings import Plain
from garrison.serving.refusals import Reason, Refused
from garrison.serving.tensors.codecs import CODECS as REAL
from tests.serving.http.guards import CODECS, echo, gateway


def begin(made: Gateway, path: str, method: str = "POST") -> Call:
    return made.begin(method, path.encode(), [(b"host", b"guard")], Peer())


def test_bodies_that_no_codec_can_look_into_are_not_taken() -> None:
    made = gateway(echo, codecs={"v2": CODECS["v2"]})
    assert begin(made, "/v2/models/m/infer").codec is CODECS["v2"]
    for path in ("/v1/models/m:predict", "/v2/models/m/generate"):
        with pytest.raises(Refused) as refused:
            begin(made, path)
        assert refused.value.reason is Reason.UNKNOWN
    with pytest.raises(UsageError, match="no codec is called 'other'"):
        gateway(echo, routes=[Route(operation="x", method="POST", pattern="/x", action=Action.INFER, codec="other")])


def test_what_the_guard_answers_itself_never_reaches_a_server() -> None:
    with pytest.raises(Refused):
        begin(gateway(echo), "/v2/models/m/feedback")

    async def feedback(call: Call) -> Answer:
        return Answer(202, call.body)

    made = gateway(echo, handlers={"feedback": feedback})
    call = begin(made, "/v2/models/m/feedback")
    assert call.action is Action.FEEDBACK
    assert asyncio.run(_answered(made, call)).status == 202


async def _answered(made: Gateway, call: Call) -> Answer:
    return await made.answer(call)


def test_a_model_with_json_of_its_own() -> None:
    plain = Plain(path="/score", inputs={"x": "/features"}, outputs={"y": "/score"})
    routes, codecs = served({"m": Model(plain=plain), "n": Model()})

    async def score(call: Call) -> Answer:
        assert call.target == "/score"
        return Answer(200, b'{"score": [1.5]}')

    made = gateway(score, routes=routes, codecs=CODECS | codecs)
    call = begin(made, "/score")
    assert (call.model, call.action) == ("m", Action.INFER)
    call.body = b'{"features": [[1, 2]]}'
    assert [(tensor.name, tensor.data.tolist()) for tensor in call.tensors()] == [("x", [[1, 2]])]
    answer = asyncio.run(_answered(made, call))
    assert [(tensor.name, tensor.data.tolist()) for tensor in answer.tensors(call)] == [("y", [1.5])]
    other = begin(made, "/score")
    other.body = b'{"features": [1], "url": "http://169.254.169.254/"}'
    with pytest.raises(Refused):
        other.tensors()


@pytest.mark.parametrize("path", ["score", "/a/../b", "/a b", "/v2/models/m/infer"])
def test_paths_of_models_that_cannot_be(path: str) -> None:
    routes, codecs = served({"m": Model(plain=Plain(path=path, inputs={"x": "/x"}))})
    twice = [*routes, *routes] if path.startswith("/v2") else routes
    with pytest.raises(UsageError):
        gateway(echo, routes=twice, codecs=CODECS | codecs)


def forwarded(path: str, body: bytes) -> bytes:
    """The body that reaches the server. Raises `Refused`."""
    seen = []

    async def server(call: Call) -> Answer:
        seen.append(call.body)
        return Answer(200)

    made = gateway(server)
    call = begin(made, path)
    call.body = body
    answer = asyncio.run(_answered(made, call))
    assert bool(seen) is (answer.status == 200)
    if not seen:
        raise Refused(Reason(json.loads(answer.body)["reason"]), "")
    return seen[0]


@pytest.mark.parametrize(
    ("path", "body", "sent"),
    [
        ("/v2/repository/index", b"", b""),
        ("/v2/repository/index", b'{ "ready" : true }', b'{"ready":true}'),
        ("/v2/repository/models/m/load", b" {} ", b"{}"),
        (
            "/v2/repository/models/m/unload",
            b'{"parameters": {"unload_dependents": true}}',
            b'{"parameters":{"unload_dependents":true}}',
        ),
        ("/v2/logging", b'{"log_info": false}', b'{"log_info":false}'),
        ("/v2/trace/setting", b'{"trace_level": ["TIMESTAMPS"]}', b'{"trace_level":["TIMESTAMPS"]}'),
        ("/v2/repository/index", b'{"ready": 1, "ready": true}', b'{"ready":true}'),
    ],
)
def test_servers_are_told_what_was_read(path: str, body: bytes, sent: bytes) -> None:
    assert forwarded(path, body) == sent


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/v2/repository/models/m/load", b'{"parameters": {"config": "{}"}}', Reason.FORBIDDEN),
        ("/v2/repository/models/m/load", b'{"parameters": {"file:1/model.py": "cHJpbnQ="}}', Reason.FORBIDDEN),
        ("/v2/repository/models/m/unload", b'{"parameters": {"unload_dependents": {"a": 1}}}', Reason.FORBIDDEN),
        ("/v2/repository/index", b'{"ready": [{}]}', Reason.FORBIDDEN),
        ("/v2/logging", b'{"log_file": "/etc/cron.d/x"}', Reason.FORBIDDEN),
        ("/v2/trace/setting", b'{"trace_file": "/etc/cron.d/x"}', Reason.FORBIDDEN),
        ("/v2/repository/index", b"[]", Reason.MALFORMED),
        ("/v2/repository/index", b"{", Reason.MALFORMED),
        ("/v2/repository/index", b"\xff", Reason.MALFORMED),
        ("/v2/repository/index", b'{"a":' * 100_000, Reason.MALFORMED),
        ("/v2/systemsharedmemory/unregister", b'{"all": true}', Reason.FORBIDDEN),
    ],
)
def test_no_request_makes_a_server_run_or_write_what_it_names(path: str, body: bytes, reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        forwarded(path, body)
    assert refused.value.reason is reason


def test_inputs_are_read_even_if_no_stage_looks() -> None:
    async def server(call: Call) -> Answer:
        raise AssertionError

    made = gateway(server, codecs=REAL)
    call = begin(made, "/v2/models/m/infer")
    call.body = b"not at all"
    assert asyncio.run(_answered(made, call)).status == 400
