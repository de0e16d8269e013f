"""Bodies without named tensors are read strictly, too."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call, Codec, Peer
from garrison.serving.refusals import Reason, Refused
from garrison.serving.tensors.documents import GenerateCodec, PointedCodec, V1Codec
from garrison.serving.tensors.tensor import Tensor


def called(codec: Codec, body: Any) -> Call:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call(Action.INFER, transport="http", headers={}, peer=Peer(), codec=codec, body=raw)


def test_instances_are_one_tensor() -> None:
    (tensor,) = called(V1Codec(), {"instances": [[1, 2.5], [3, 4]]}).tensors()
    assert (tensor.name, tensor.datatype, tensor.data.tolist()) == ("instances", "FP64", [[1, 2.5], [3, 4]])
    (tensor,) = called(V1Codec(), {"inputs": ["good", "bad"]}).tensors()
    assert (tensor.datatype, tensor.data.tolist()) == ("BYTES", [b"good", b"bad"])


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[1]", {}, {"instances": 1}, {"instances": [[1], [2, 3]]}, {"instances": [1, "a"]},
        {"instances": [[1], 2]},
        {"instances": [{"a": 1}]}, {"instances": [1], "inputs": [1]}, {"instances": [1], "url": "x"},
        b'{"instances": [1], "instances": [2]}', b'{"instances": [NaN]}', b'{"instances": [1e999]}',
        b'{"instances": [null]}', b'{"instances": ["\\ud800"]}', b'{"instances": ["\xff"]}',
        b'{"instances": [true, 1]}',
        b'{"instances": ' + b"[" * 50 + b"1" + b"]" * 50 + b"}",
        b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"instances": [%s]}' % (b"9" * 10_000),
    ],
)  # fmt: skip
def test_what_is_no_array_is_refused(body: Any) -> None:
    with pytest.raises(Refused) as refused:
        called(V1Codec(), body).tensors()
    assert refused.value.reason is Reason.MALFORMED


def test_what_stands_beside_the_inputs_is_a_parameter() -> None:
    call = called(V1Codec(), {"instances": [1], "parameters": {"callback": "http://x"}, "signature_name": "raw"})
    call.tensors()
    assert call.parameters == {"callback": "http://x", "signature_name": "raw"}


@pytest.mark.parametrize(
    "beside",
    [
        {"parameters": {"a": {"url": "x"}}}, {"parameters": [1]}, {"parameters": None}, {"signature_name": {"a": 1}},
        {"parameters": {str(n): 1 for n in range(65)}}, {"parameters": {"a": "x" * 5000}},
    ],
)  # fmt: skip
def test_nothing_nested_stands_beside_the_inputs(beside: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        called(V1Codec(), {"instances": [1], **beside}).tensors()
    if "parameters" in beside:
        with pytest.raises(Refused):
            called(GenerateCodec(), {"text_input": "a", **beside}).tensors()
    with pytest.raises(Refused):
        called(GenerateCodec(), {"text_input": "a", "id": {"url": "x"}}).tensors()


def test_predictions_are_read_and_replaced() -> None:
    codec = V1Codec()
    call = called(codec, {"instances": [[1]]})
    answer = Answer(200, b'{"predictions": [[0.1, 0.9]], "outputs": [[0.123, 0.877]], "model": "m"}')
    (tensor,) = answer.tensors(call)
    answer.replace(call, (Tensor("predictions", "FP64", (1, 2), np.array([[0.0, 1.0]]), {}),))
    assert tensor.data.tolist() == [[0.1, 0.9]]
    assert json.loads(answer.body) == {"predictions": [[0.0, 1.0]]}


def test_what_is_generated_from_is_text() -> None:
    call = called(GenerateCodec(), {"text_input": "hello", "parameters": {"temperature": 0.5}, "id": "9"})
    (tensor,) = call.tensors()
    assert (tensor.name, tensor.data.tolist(), call.parameters, call.name) == (
        "text_input", [b"hello"], {"temperature": 0.5}, "9",
    )  # fmt: skip
    answer = Answer(200, b'{"model_name": "m", "text_output": "hi"}')
    (tensor,) = answer.tensors(call)
    assert tensor.data.tolist() == [b"hi"]
    answer.body = b'{"model_name": "m", "text_output": "hi", "logits": {"hi": 0.3}}'
    answer.replace(call, (tensor,))
    assert json.loads(answer.body) == {"model_name": "m", "text_output": "hi"}


POINTED = PointedCodec({"features": "/data/features"}, {"scores": "/result/0/scores"})


def test_pointers_tell_where_tensors_are() -> None:
    call = called(POINTED, {"data": {"features": [1, 2]}})
    (tensor,) = call.tensors()
    assert (tensor.name, tensor.data.tolist()) == ("features", [1, 2])
    answer = Answer(200, b'{"result": [{"scores": [0.2, 0.8], "n": 1}, 7], "raw": [0.2, 0.8]}')
    assert answer.tensors(call)[0].data.tolist() == [0.2, 0.8]
    answer.replace(call, (Tensor("scores", "FP64", (2,), np.array([0.0, 1.0]), {}),))
    assert json.loads(answer.body) == {"result": [{"scores": [0.0, 1.0]}, None]}


@pytest.mark.parametrize(
    "body",
    [{}, {"data": {}}, {"data": {"features": [1], "callback": "http://x"}}, {"data": {"features": [1]}, "url": 1}],
)
def test_what_no_pointer_leads_to_is_refused(body: Any) -> None:
    with pytest.raises(Refused):
        called(POINTED, body).tensors()


def test_what_is_no_pointer_is_said() -> None:
    with pytest.raises(UsageError, match="'features' is no JSON pointer"):
        PointedCodec({"x": "features"}, {})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_document_is_read_or_refused(value: Any) -> None:
    for codec in (V1Codec(), GenerateCodec(), POINTED):
        for body in (value, {"instances": value}, {"data": {"features": value}}):
            call = called(codec, body)
            try:
                call.tensors()
            except Refused:
                continue
            assert json.loads(call.body) == json.loads(json.dumps(body))
