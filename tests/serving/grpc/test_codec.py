"""Tensors are read from messages as the protocol says, or refused; what is read is written back the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from garrison.serving.calls import Action, Answer, Call, Peer
from garrison.serving.grpc.codec import InferCodec
from garrison.serving.grpc.messages import ModelInferRequest, ModelInferResponse
from garrison.serving.refusals import Reason, Refused
from garrison.serving.tensors.tensor import Tensor
from tests.support import damaged

DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
CONTENTS = {
    "BOOL": "bool_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip


def call_of(body: bytes) -> Call:
    return Call(Action.INFER, transport="grpc", headers={}, peer=Peer(), codec=InferCodec(), model="m", body=body)


def request(*inputs: dict[str, Any], raw: tuple[bytes, ...] = (), **fields: Any) -> bytes:
    message = ModelInferRequest(model_name="m", inputs=list(inputs), raw_input_contents=raw, **fields)
    serialised: bytes = message.SerializeToString()
    return serialised


def refusal(body: bytes) -> Reason:
    with pytest.raises(Refused) as refused:
        InferCodec().read(call_of(body))
    return refused.value.reason


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    datatype = draw(st.sampled_from([*DTYPES, "BYTES"]))
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    if datatype == "BYTES":
        data = np.empty(shape, object)
        for index in np.ndindex(shape):
            data[index] = draw(st.binary(max_size=9))
    else:
        elements = {"allow_nan": False} if datatype.startswith("FP") else {}
        data = draw(arrays.arrays(DTYPES[datatype], shape, elements=elements))
    return Tensor(draw(st.text(max_size=5)), datatype, shape, data, draw(parameters()))


def parameters() -> st.SearchStrategy[dict[str, bool | int | float | str]]:
    integers = st.integers(-(1 << 63), (1 << 64) - 1)
    values = st.booleans() | integers | st.floats(allow_nan=False) | st.text(max_size=5)
    return st.dictionaries(st.text(max_size=5), values, max_size=2)


def the_same(a: Tensor, b: Tensor) -> bool:
    equal = a.data.tolist() == b.data.tolist() if a.datatype == "BYTES" else a.data.tobytes() == b.data.tobytes()
    return equal and (a.name, a.datatype, a.shape, a.parameters) == (b.name, b.datatype, b.shape, b.parameters)


@given(st.lists(tensors(), min_size=1, max_size=3), st.booleans())
def test_outputs_are_read_as_they_were_written(outputs: list[Tensor], raw: bool) -> None:
    codec = InferCodec()
    call = call_of(b"")
    before = ModelInferResponse(model_name="m", outputs=[{"name": "y", "datatype": "INT64", "shape": [1]}])
    before.parameters["unseen"].string_param = "0.123"
    if raw:
        before.raw_output_contents.append(bytes(8))
    else:
        before.outputs[0].contents.int64_contents.append(0)
    answer = Answer(200, before.SerializeToString())
    codec.write(call, answer, tuple(outputs))
    written = ModelInferResponse.FromString(answer.body)
    assert not written.parameters
    only_raw = any(one.datatype == "FP16" for one in outputs)
    assert bool(written.raw_output_contents) == (raw or only_raw)
    assert all(map(the_same, codec.outputs(call, answer), outputs))


@given(tensors(), st.booleans())
def test_inputs_are_read_in_both_forms_and_go_on_as_they_were_read(tensor: Tensor, raw: bool) -> None:
    written = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    if raw or tensor.datatype == "FP16":
        elements = (
            [len(one).to_bytes(4, "little") + one for one in tensor.data.ravel()] if tensor.datatype == "BYTES" else []
        )
        data = b"".join(elements) if tensor.datatype == "BYTES" else tensor.data.tobytes()
        body = request(written, raw=(data,))
    else:
        body = request(written | {"contents": {CONTENTS[tensor.datatype]: tensor.data.ravel().tolist()}})
    call = call_of(body)
    (read,) = call.tensors()
    assert the_same(read, Tensor(tensor.name, tensor.datatype, tensor.shape, tensor.data, {}))
    again = call_of(call.body)
    assert the_same(again.tensors()[0], read)
    assert again.body == call.body


def test_stages_see_parameters_and_wanted_outputs() -> None:
    message = ModelInferRequest(model_name="m", id="7", outputs=[{"name": "y"}])
    message.parameters["callback"].string_param = "http://x"
    message.outputs[0].parameters["class_count"].int64_param = 3
    message.inputs.add(name="x", datatype="FP32", shape=[0]).parameters["weight"].double_param = 0.5
    call = call_of(message.SerializeToString())
    (tensor,) = call.tensors()
    assert (call.name, call.parameters, tensor.parameters) == ("7", {"callback": "http://x"}, {"weight": 0.5})
    assert [(one.name, one.parameters) for one in call.wanted] == [("y", {"class_count": 3})]


X = {"name": "x", "datatype": "FP32", "shape": [2]}
HOSTILE = {
    "raw that is too short": request(X, raw=(bytes(7),)),
    "raw that is too long": request(X, raw=(bytes(12),)),
    "more raw than tensors": request(X, raw=(bytes(8), bytes(8))),
    "less raw than tensors": request(X, X | {"name": "z"}, raw=(bytes(8),)),
    "raw beside contents": request(X | {"contents": {"fp32_contents": [1, 2]}}, raw=(bytes(8),)),
    "no contents": request(X),
    "fewer contents than the shape": request(X | {"contents": {"fp32_contents": [1]}}),
    "more contents than the shape": request(X | {"contents": {"fp32_contents": [1, 2, 3]}}),
    "contents of another type": request(X | {"contents": {"fp64_contents": [1, 2]}}),
    "contents of two types": request(X | {"contents": {"fp32_contents": [1, 2], "int_contents": [1]}}),
    "half precision that is not raw": request(X | {"datatype": "FP16", "contents": {"fp32_contents": [1, 2]}}),
    "a datatype that there is not": request(X | {"datatype": "FP33"}, raw=(bytes(8),)),
    "an empty datatype": request(X | {"datatype": ""}, raw=(bytes(8),)),
    "a negative dimension": request(X | {"shape": [-2]}, raw=(bytes(8),)),
    "two negative dimensions": request(X | {"shape": [-1, -2]}, raw=(bytes(8),)),
    "a shape that overflows": request(X | {"shape": [1 << 62, 1 << 62, 1 << 62]}, raw=(bytes(8),)),
    "an empty shape that overflows": request(X | {"shape": [0, 1 << 62, 1 << 62]}, raw=(b"",)),
    "many dimensions": request(X | {"shape": [1] * 40 + [2]}, raw=(bytes(8),)),
    "a number beyond eight bits": request(X | {"datatype": "INT8", "contents": {"int_contents": [1, 128]}}),
    "a boolean of two": request(X | {"datatype": "BOOL"}, raw=(b"\x01\x02",)),
    "a string longer than all": request(X | {"datatype": "BYTES"}, raw=(b"\x00\x00\x00\x00\xff\xff\xff\xff",)),
    "a string cut in its length": request(X | {"datatype": "BYTES"}, raw=(b"\x02\x00\x00\x00ab\x00\x00",)),
    "more strings than the shape": request(X | {"datatype": "BYTES"}, raw=(bytes(12),)),
    "two inputs of one name": request(X, X, raw=(bytes(8), bytes(8))),
    "two outputs of one name": request(X, raw=(bytes(8),), outputs=[{"name": "y"}, {"name": "y"}]),
    "a parameter without a value": request(X, raw=(bytes(8),), parameters={"a": {}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_contradicts_itself_is_malformed(name: str) -> None:
    assert refusal(HOSTILE[name]) is Reason.MALFORMED


def test_empty_contents_beside_raw_ones_are_none() -> None:
    (tensor,) = call_of(request(X | {"contents": {}}, raw=(bytes(8),))).tensors()
    assert tensor.data.tolist() == [0, 0]


def test_what_nobody_could_look_at_is_forbidden() -> None:
    region = {"shared_memory_region": {"string_param": "r"}}
    assert refusal(request(X | {"parameters": region})) is Reason.FORBIDDEN
    assert refusal(request(X, raw=(bytes(8),), outputs=[{"name": "y", "parameters": region}])) is Reason.FORBIDDEN
    classes = {"classification": {"int64_param": 3}}
    assert refusal(request(X, raw=(bytes(8),), outputs=[{"name": "y", "parameters": classes}])) is Reason.FORBIDDEN


def test_what_is_too_much_is_too_large() -> None:
    many = [X | {"name": str(number)} for number in range(300)]
    assert refusal(request(*many, raw=(bytes(8),) * 300)) is Reason.TOO_LARGE
    few = {str(number): {"bool_param": True} for number in range(100)}
    assert refusal(request(X, raw=(bytes(8),), parameters=few)) is Reason.TOO_LARGE
    assert refusal(request(X, raw=(bytes(8),), id="a" * 5000)) is Reason.TOO_LARGE
    assert refusal(request(X, raw=(bytes(8),), parameters={"a": {"string_param": "a" * 5000}})) is Reason.TOO_LARGE


@pytest.mark.parametrize("body", [b"\xff", ModelInferResponse(outputs=[X]).SerializeToString()])
def test_an_answer_that_lies_is_the_servers_fault(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        Answer(200, body).tensors(call_of(b""))
    assert refused.value.reason is Reason.BACKEND


SOUND = (
    request(X, raw=(bytes(8),), id="a", parameters={"a": {"string_param": "b"}}, outputs=[{"name": "y"}]),
    request(X | {"contents": {"fp32_contents": [1, 2]}}),
    request(X | {"datatype": "BYTES"}, raw=(b"\x01\x00\x00\x00a\x00\x00\x00\x00",)),
    request(X | {"datatype": "INT8", "contents": {"int_contents": [1, -1]}}),
)


@given(damaged(*SOUND))
def test_whatever_the_bytes_are_they_are_read_whole_or_refused(body: bytes) -> None:
    call = call_of(body)
    try:
        read = call.tensors()
    except Refused:
        return
    assert all(tensor.data.shape == tensor.shape for tensor in read)
    again = call_of(call.body)
    assert all(map(the_same, again.tensors(), read))
