"""Callers get what the rule of their roles leaves, by whatever protocol they ask, and nothing else of the answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call, Codec, Peer, Principal
from garrison.serving.config.config import Config, Model
from garrison.serving.grpc.codec import InferCodec
from garrison.serving.grpc.messages import ModelInferRequest, ModelInferResponse
from garrison.serving.protect.settings import Protect, Rule
from garrison.serving.protect.stage import ProtectStage, stage
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services
from garrison.serving.tensors.documents import V1Codec
from garrison.serving.tensors.tensor import Tensor
from garrison.serving.tensors.v2 import V2Codec

INSIDE = Rule(roles=("inside",), unchanged=True)
SCORES = np.array([[0.123, 0.456, 0.421], [0.8, 0.15, 0.05]])


class Unused:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


SERVICES = Services(store=Unused(), report=lambda incident: None, noticed=lambda call, mark: None)


def made(*rules: Rule, **settings: Any) -> ProtectStage:
    model = Model(protect=Protect(rules=rules, **settings))
    found = stage(Config(models={"m": model}), model, SERVICES)
    assert found is not None
    return found


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_bytes(b"k" * 32)
    return str(path)


def call_of(*roles: str, codec: Codec | None = None, **fields: Any) -> Call:
    fields = {"action": Action.INFER, "transport": "http", "operation": "infer", **fields}
    call = Call(headers={}, peer=Peer(), codec=codec or V2Codec(), model="m", **fields)
    call.principal = Principal(name="somebody", roles=roles)
    call.inputs = (Tensor("x", "FP32", (2, 1), np.array([[1], [2]], np.float32), {}),)
    return call


def tensor(data: Any = SCORES, name: str = "scores", datatype: str = "FP64") -> Tensor:
    data = np.asarray(data)
    return Tensor(name, datatype, data.shape, data, {"content_type": "np"})


def given_to(found: ProtectStage, call: Call, *outputs: Tensor) -> list[Tensor]:
    listed = [
        {"name": one.name, "datatype": one.datatype, "shape": one.shape, "data": one.data.ravel().tolist()}
        for one in outputs
    ]
    body = {"model_name": "m", "parameters": {"unseen": "0.123"}, "outputs": listed}
    answer = Answer(200, json.dumps(body).encode())
    found.before(call)
    waiting = found.after(call, answer)
    assert waiting is None
    return list(Answer(200, answer.body, answer.headers).tensors(call))


def test_each_role_gets_what_its_rule_leaves() -> None:
    found = made(Rule(labels_only=True), Rule(roles=("partner",), digits=1), INSIDE)
    (labels,) = given_to(found, call_of(), tensor())
    assert labels.data.tolist() == [[0, 1, 0], [1, 0, 0]]
    (rounded,) = given_to(found, call_of("partner", "unnamed"), tensor())
    np.testing.assert_allclose(rounded.data, [[0.1, 0.5, 0.4], [0.8, 0.2, 0.0]], atol=1e-12)
    (whole,) = given_to(found, call_of("inside"), tensor())
    np.testing.assert_array_equal(whole.data, SCORES)


def test_with_several_roles_the_strictest_counts_unless_told() -> None:
    rules = (Rule(labels_only=True), Rule(roles=("partner",), digits=1), INSIDE)
    (strict,) = given_to(made(*rules), call_of("inside", "partner"), tensor())
    assert strict.data[0, 0] == 0.1
    (free,) = given_to(made(*rules, several_roles="most-permissive"), call_of("inside", "partner"), tensor())
    assert free.data[0, 0] == 0.123


def test_what_no_rule_speaks_of_is_withheld() -> None:
    outputs = [tensor(), tensor([1, 0], "label", "INT64"), tensor([[0.3], [0.4]], "embedding")]
    by_kind = made(Rule(digits=1))
    assert [one.name for one in given_to(by_kind, call_of(), *outputs)] == ["scores", "label", "embedding"]
    by_name = made(Rule(digits=1, outputs=("scores",)))
    assert [one.name for one in given_to(by_name, call_of(), *outputs)] == ["scores"]
    passing = made(Rule(digits=1, outputs=("scores",), as_they_are=("label",)))
    assert [one.name for one in given_to(passing, call_of(), *outputs)] == ["scores", "label"]


def test_parameters_are_not_given() -> None:
    found = made(Rule(digits=1))
    call = call_of()
    body = {
        "outputs": [{"name": "s", "datatype": "FP32", "shape": [1, 2], "data": [0.12, 0.88], "parameters": {"a": 1}}]
    }
    answer = Answer(200, json.dumps(body | {"parameters": {"raw": "0.12"}}).encode())
    found.after(call, answer)
    document = json.loads(answer.body)
    assert document.keys() == {"model_name", "outputs"}
    assert document["outputs"][0].keys() == {"name", "datatype", "shape", "data"}


def test_the_same_question_gets_the_same_noise_and_company_brings_no_other(key: str) -> None:
    found = made(Rule(noise=0.5), key=key)
    first, second = (given_to(found, call_of(), tensor())[0].data for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - SCORES).max() > 0.01
    np.testing.assert_allclose(first.sum(1), 1)
    alone = call_of()
    alone.inputs = (Tensor("x", "FP32", (1, 1), np.array([[2]], np.float32), {}),)
    np.testing.assert_allclose(given_to(found, alone, tensor(SCORES[1:]))[0].data, first[1:])


def test_logits_become_probabilities() -> None:
    (found,) = given_to(made(Rule(scores="logits", digits=2)), call_of(), tensor(np.log(SCORES) + 3))
    np.testing.assert_allclose(found.data, SCORES.round(2), atol=1e-12)


@pytest.mark.parametrize("data, expected", [([0.49, 0.51, 0.2], [0.5, 0.5, 0.2]), ([[0.49], [0.77]], [[0.5], [0.8]])])
def test_one_score_for_each_row_stays_on_its_side(data: Any, expected: Any) -> None:
    (found,) = given_to(made(Rule(digits=1)), call_of(), tensor(data))
    np.testing.assert_allclose(found.data, expected, atol=2e-6)
    assert ((found.data > 0.5) == (np.array(data) > 0.5)).all()


def test_classes_may_lie_along_another_axis() -> None:
    maps = np.moveaxis(np.tile(SCORES, (1, 2, 2, 1)), -1, 1)
    (found,) = given_to(made(Rule(labels_only=True, axis=1)), call_of(), tensor(maps))
    assert found.data.shape == maps.shape
    np.testing.assert_array_equal(found.data.argmax(1), maps.argmax(1))
    np.testing.assert_array_equal(found.data.sum(1), 1)


@given(st.sampled_from(["FP16", "FP32", "FP64", "BF16"]), st.integers(0, 2**32), st.sampled_from([0, 1, 2]))
def test_decisions_outlive_every_precision(datatype: str, seed: int, digits: int) -> None:
    scores = np.random.default_rng(seed).dirichlet(np.ones(4), 8).astype(np.float32)
    if datatype == "BF16":
        data: Any = (scores.view(np.uint32) >> 16).astype("<u2")
        read = lambda bits: (bits.astype(np.uint32) << 16).view(np.float32)  # noqa: E731
    else:
        data = scores.astype({"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}[datatype])
        read = lambda same: same  # noqa: E731
    call = call_of()
    answer = Answer(200)
    answer.outputs = (Tensor("scores", datatype, data.shape, data, {}),)
    call.codec = None
    made(Rule(digits=digits)).after(call, answer)
    (found,) = answer.outputs
    assert found.datatype == datatype
    assert found.data.dtype == data.dtype
    np.testing.assert_array_equal(read(found.data).argmax(1), read(data).argmax(1))


@pytest.mark.parametrize(
    "outputs",
    [
        [], [tensor(["0.9:1:cat"], "scores", "BYTES")], [tensor([[0.2, 0.2]])], [tensor([[3.0, -2.0]])],
        [tensor([0.5, 0.5])],
    ],
)  # fmt: skip
def test_what_cannot_be_protected_is_not_given(outputs: list[Tensor]) -> None:
    found = made(Rule(top=1))
    with pytest.raises(Refused) as refused:
        given_to(found, call_of(), *outputs)
    assert refused.value.reason is Reason.FAILED
    assert refused.value.mark is not None
    assert refused.value.mark.rule == "answer-unprotected"


def test_scores_that_are_not_finite_are_not_given() -> None:
    answer = Answer(200, b'{"outputs": [{"name": "s", "datatype": "FP32", "shape": [1, 2], "data": [null, 0.5]}]}')
    with pytest.raises(Refused):
        made(Rule(digits=1)).after(call_of(), answer)


def test_streams_and_explanations_are_for_those_whose_answers_are_unchanged() -> None:
    found = made(Rule(digits=1), INSIDE)
    for fields in ({"operation": "infer-stream"}, {"action": Action.EXPLAIN, "operation": "explain"}):
        with pytest.raises(Refused) as refused:
            found.before(call_of(**fields))
        assert refused.value.reason is Reason.FORBIDDEN
        found.before(call_of("inside", **fields))
    found.before(call_of(action=Action.METADATA))


def test_a_stream_that_comes_all_the_same_is_ended() -> None:
    ended = []

    async def parts() -> AsyncIterator[bytes]:
        try:
            yield b"0.123"
        finally:
            ended.append(True)

    async def run() -> None:
        stream = parts()
        await anext(stream)
        waiting = made(Rule(digits=1)).after(call_of(), Answer(200, stream=stream))
        assert waiting is not None
        with pytest.raises(Refused):
            await waiting

    asyncio.run(run())
    assert ended


def test_failures_of_the_server_pass_and_other_statuses_do_not() -> None:
    found = made(Rule(digits=1))
    failed = Answer(400, b'{"error": "no"}')
    assert found.after(call_of(), failed) is None
    assert failed.body == b'{"error": "no"}'
    with pytest.raises(Refused):
        found.after(call_of(), Answer(203, b'{"scores": [0.123]}'))


def test_the_first_version_of_the_protocol_is_protected() -> None:
    call = call_of(codec=V1Codec())
    answer = Answer(200, b'{"predictions": [[0.123, 0.877]], "raw": [0.123, 0.877]}')
    made(Rule(digits=1, outputs=("predictions",))).after(call, answer)
    assert json.loads(answer.body) == {"predictions": [[0.1, 0.9]]}
    sure = Answer(200, b'{"predictions": [[0, 1]]}')
    made(Rule(digits=1, outputs=("predictions",))).after(call, sure)
    assert json.loads(sure.body) == {"predictions": [[0.0, 1.0]]}


@pytest.mark.parametrize("raw", [True, False])
def test_grpc_is_protected(raw: bool) -> None:
    codec = InferCodec(ModelInferRequest(model_name="m"))
    message = ModelInferResponse(model_name="m", outputs=[{"name": "s", "datatype": "FP32", "shape": [1, 2]}])
    message.outputs[0].parameters["a"].string_param = "0.123"
    if raw:
        message.raw_output_contents.append(np.array([0.123, 0.877], "<f4").tobytes())
    else:
        message.outputs[0].contents.fp32_contents.extend([0.123, 0.877])
    call = call_of(codec=codec, transport="grpc")
    answer = Answer(200, message.SerializeToString())
    made(Rule(digits=1)).after(call, answer)
    (found,) = codec.outputs(call, answer)
    np.testing.assert_allclose(found.data, [[0.1, 0.9]], atol=1e-7)
    assert found.parameters == {}


@pytest.mark.parametrize(
    "rules, settings, message",
    [
        ((Rule(),), {}, "unchanged"),
        ((Rule(unchanged=True, digits=1),), {}, "unchanged"),
        ((Rule(labels_only=True, digits=1),), {}, "labels-only"),
        ((Rule(roles=("a",), digits=1),), {}, "without roles"),
        ((Rule(digits=1), Rule(digits=2)), {}, "without roles"),
        ((Rule(digits=1), Rule(roles=("a",), digits=1), Rule(roles=("a",), digits=2)), {}, "'a' is in two rules"),
        ((Rule(noise=1.0),), {}, "takes a key"),
        ((Rule(noise=1.0),), {"key": "/does/not/exist"}, "No such file"),
        ((Rule(top=1, scores="independent"),), {}, "classes"),
        ((Rule(labels_only=True, scores="numbers"),), {}, "no labels"),
    ],
)
def test_rules_that_cannot_be_are_told(rules: tuple[Rule, ...], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(*rules, **settings)


def test_a_short_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(UsageError, match="16 bytes"):
        made(Rule(noise=1.0), key=str(tmp_path / "key"))


def test_without_rules_there_is_no_stage() -> None:
    assert stage(Config(), Model(), SERVICES) is None
    assert stage(Config(), None, SERVICES) is None
