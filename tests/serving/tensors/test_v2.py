"""Requests of the Open Inference Protocol: what is read is what goes on, and what is hostile goes nowhere."""

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from garrison.serving.calls import Action, Answer, Call, Peer
from garrison.serving.refusals import Reason, Refused
from garrison.serving.tensors.binary import from_bytes, to_bytes
from garrison.serving.tensors.datatypes import DTYPES
from garrison.serving.tensors.tensor import Tensor
from garrison.serving.tensors.v2 import V2Codec

CODEC = V2Codec()
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)


def called(body: bytes, headers: dict[str, str] | None = None) -> Call:
    return Call(Action.INFER, transport="http", headers=headers or {}, peer=Peer(), codec=CODEC, body=body)


def request(data: Any = None, **fields: Any) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2.5], **fields}
    if data is not None:
        tensor["data"] = data
    return json.dumps({"inputs": [tensor]}).encode()


def test_a_request_is_read() -> None:
    body = {
        "id": "42",
        "parameters": {"priority": 1},
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2.5]}],
        "outputs": [{"name": "scores", "parameters": {"binary_data": False}}],
    }
    call = called(json.dumps(body).encode())
    (tensor,) = call.tensors()
    assert (tensor.name, tensor.datatype, tensor.shape, tensor.data.tolist()) == ("x", "FP32", (1, 2), [[1.0, 2.5]])
    assert (call.name, call.parameters) == ("42", {"priority": 1})
    assert [(one.name, one.parameters) for one in call.wanted] == [("scores", {"binary_data": False})]
    assert json.loads(call.body) == body
    assert call.headers["content-type"] == "application/json"


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    datatype = draw(st.sampled_from([name for name in DTYPES if name != "BF16"]))
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    if datatype == "BYTES":
        count = int(np.prod(shape))
        texts = st.text(st.characters(exclude_categories=["Cs"]))
        data = np.empty(count, object)
        data[:] = [text.encode() for text in draw(st.lists(texts, min_size=count, max_size=count))]
        return Tensor(draw(NAMES), datatype, shape, data.reshape(shape), {})
    finite = {"allow_nan": False, "allow_infinity": False} if datatype.startswith("FP") else {}
    elements_of = arrays.from_dtype(DTYPES[datatype], **finite)
    return Tensor(
        draw(st.text(min_size=1, max_size=5)),
        datatype,
        shape,
        draw(arrays.arrays(DTYPES[datatype], shape, elements=elements_of)),
        {},
    )


def described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def plain(tensor: Tensor, nested: bool) -> list[Any]:
    if tensor.datatype == "BYTES":
        texts = np.empty(tensor.data.size, object)
        texts[:] = [element.decode() for element in tensor.data.ravel()]
        return list(texts.reshape(tensor.shape).tolist() if nested else texts.tolist())
    return list(tensor.data.tolist() if nested else tensor.data.ravel().tolist())


@given(tensors(), st.booleans())
def test_any_tensor_is_read_as_it_was_written_and_read_again_the_same(tensor: Tensor, nested: bool) -> None:
    entry = {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.shape,
        "data": plain(tensor, nested and tensor.data.size > 0),
    }
    call = called(json.dumps({"inputs": [entry]}).encode())
    (read,) = call.tensors()
    assert read.data.dtype == tensor.data.dtype
    np.testing.assert_array_equal(read.data, tensor.data)
    (again,) = called(call.body).tensors()
    np.testing.assert_array_equal(again.data, tensor.data)


@given(st.lists(tensors(), min_size=1, max_size=3, unique_by=lambda tensor: tensor.name))
def test_binary_data_is_read_in_the_order_of_its_tensors(given: list[Tensor]) -> None:
    parts = [to_bytes(tensor) for tensor in given]
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": one.name,
                    "datatype": one.datatype,
                    "shape": one.shape,
                    "parameters": {"binary_data_size": len(part)},
                }
                for one, part in zip(given, parts, strict=True)
            ]
        }
    ).encode()
    call = called(head + b"".join(parts), {"inference-header-content-length": str(len(head))})
    for read, tensor in zip(call.tensors(), given, strict=True):
        np.testing.assert_array_equal(read.data, tensor.data)
    again = called(call.body, dict(call.headers))
    for read, tensor in zip(again.tensors(), given, strict=True):
        np.testing.assert_array_equal(read.data, tensor.data)
    assert call.headers["content-type"] == "application/octet-stream"


@given(tensors())
def test_bytes_hold_exactly_what_their_shape_says(tensor: Tensor) -> None:
    data = to_bytes(tensor)
    np.testing.assert_array_equal(from_bytes(tensor.datatype, tensor.shape, data), tensor.data)
    with pytest.raises(ValueError, match=r"."):
        from_bytes(tensor.datatype, tensor.shape, data + b"x")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"{}", b'{"inputs": []}', b'{"inputs": {}}', b"\xff\xfe", b'{"inputs": "\xff"}',
        request(shape=[-1, 2]), request(shape=[1, 3]), request(shape=[1, -2]), request(shape=[2**62, 2]),
        request(shape=[2**63, 2]), request(shape=[1.5, 2]), request(shape=[True, 2]),
        request(shape=[0, 2**62, 2**62], data=[]), request(shape=[1] * 17), request(data=["1", "2"]),
        request(data=[None, 1]), request(data=[[1, 2], [3, 4]]), request(data=[[1], [2]]), request(data=[[1, 2, 3]]),
        request(data=[1, [2]]), request(data={}), request(data="1"), request(data=[True, False]),
        request(data=[1, 1e39]), request(datatype="FP31"), request(datatype="BF16"),
        request(datatype="UINT8", data=[1, 256]), request(datatype="UINT8", data=[1, -1]),
        request(datatype="INT8", data=[1, 128]), request(datatype="UINT64", data=[1, -1]),
        request(datatype="UINT64", data=[1, 2**64]), request(datatype="INT64", data=[1, 2**63]),
        request(datatype="INT32", data=[1, 1.5]), request(datatype="BOOL", data=[0, 1]),
        request(datatype="BYTES", data=[1, 2]), request(name=""), request(name="x" * 2000), request(surprise=1),
        request(parameters={"a": {}}), request(parameters={"a": []}),
        request(parameters={str(n): 1 for n in range(100)}), request(parameters={"binary_data_size": 8}),
        b'{"inputs": [{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,NaN]}]}',
        b'{"inputs": [{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,Infinity]}]}',
        b'{"inputs": [{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,1e99999]}]}',
        b'{"inputs": [{"name":"x","datatype":"INT64","shape":[1,2],"data":[1,%s]}]}' % (b"9" * 100_000),
        b'{"inputs": [{"name":"x","datatype":"FP32","shape":[1,2],"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
        b'{"inputs": [{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}], "extra": ' + b"[" * 100_000,
        b'{"inputs": [{"name":"x","datatype":"BYTES","shape":[1],"data":["\\ud800"]}]}',
        b'{"inputs": [{"name":"x","datatype":"BYTES","shape":[1],"data":["\xff"]}]}',
        json.dumps({"inputs": [json.loads(request())["inputs"][0]] * 2}).encode(),
        json.dumps({"inputs": [json.loads(request())["inputs"][0]], "outputs": [{"name": "y"}] * 2}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        called(body).tensors()
    assert refused.value.reason is Reason.MALFORMED
    assert len(refused.value.message) < 400
    assert refused.value.message.isascii()


@pytest.mark.parametrize(
    "length, parts",
    [
        ("-1", b""), ("1e2", b""), ("+5", b""), ("99999999999999999999", b""), ("100000", b""), (None, b""),
        (None, b"1234567"), (None, b"12345678x"),
    ],
)  # fmt: skip
def test_binary_data_that_lies_is_refused(length: str | None, parts: bytes) -> None:
    entry = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    head = json.dumps({"inputs": [entry]}).encode()
    with pytest.raises(Refused):
        called(
            head + parts, {"inference-header-content-length": str(len(head)) if length is None else length}
        ).tensors()


@pytest.mark.parametrize("size", [-8, 7, 9, 8.0, "8", True, 2**70])
def test_sizes_that_lie_are_refused(size: Any) -> None:
    entry = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [entry]}).encode()
    with pytest.raises(Refused):
        called(head + b"12345678", {"inference-header-content-length": str(len(head))}).tensors()


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [], "inputs": [{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}',
        b'{"inputs": [{"name":"a","name":"x","datatype":"FP32","shape":[9],"shape":[1],"data":[9,9],"data":[1]}]}',
        b'\xef\xbb\xbf{"inputs": [{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}',
    ],
)
def test_a_server_behind_reads_what_was_read_here(body: bytes) -> None:
    call = called(body)
    try:
        (tensor,) = call.tensors()
    except Refused:
        return
    first_wins: dict[str, Any] = {}
    for name, value in json.loads(call.body, object_pairs_hook=lambda pairs: pairs):
        first_wins.setdefault(name, value)
    (entry,) = first_wins["inputs"]
    assert len(entry) == len(dict(entry))
    assert dict(entry)["data"] == tensor.data.tolist() == [1]


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int) -> None:
    body = bytearray(request())
    body[at % len(body) : at % len(body)] = noise
    with contextlib.suppress(Refused):
        called(bytes(body)).tensors()


def answer(body: dict[str, Any]) -> Answer:
    return Answer(200, json.dumps(body).encode(), [(b"content-type", b"application/json")])


def test_outputs_are_read_and_replaced_and_nothing_unseen_stays() -> None:
    output = {
        "name": "scores",
        "datatype": "FP64",
        "shape": [1, 2],
        "data": [[0.25, 0.75]],
        "parameters": {"content_type": "np"},
    }
    unseen = {"parameters": {"raw": "0.123"}, "scores": [0.25, 0.75]}
    given = answer({"model_name": "m", "model_version": "1", "id": "7", "outputs": [output], **unseen})
    call = called(request())
    (tensor,) = given.tensors(call)
    assert tensor.data.tolist() == [[0.25, 0.75]]
    given.replace(call, (Tensor("scores", "FP64", (1, 2), np.array([[0.3, 0.8]]), tensor.parameters),))
    document = json.loads(given.body)
    assert document.keys() == {"model_name", "model_version", "id", "outputs"}
    assert (document["model_name"], document["model_version"], document["id"]) == ("m", "1", "7")
    assert document["outputs"][0]["data"] == [0.3, 0.8]
    assert document["outputs"][0]["parameters"] == {"content_type": "np"}


@given(tensors())
def test_binary_outputs_are_replaced_by_binary_outputs(tensor: Tensor) -> None:
    part = to_bytes(tensor)
    entry = {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.shape,
        "parameters": {"binary_data_size": len(part)},
    }
    head = json.dumps({"model_name": "m", "outputs": [entry]}).encode()
    given = Answer(200, head + part, [(b"inference-header-content-length", b"%d" % len(head))])
    call = called(request())
    given.replace(call, given.tensors(call))
    length = int(dict(given.headers)[b"inference-header-content-length"])
    assert given.body[length:] == part
    again = Answer(200, given.body, given.headers)
    np.testing.assert_array_equal(again.tensors(call)[0].data, tensor.data)


def test_an_output_stays_in_the_form_that_it_came_in() -> None:
    entries: list[dict[str, Any]] = [
        {"name": "a", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
        {"name": "b", "datatype": "FP32", "shape": [1], "data": [2]},
    ]
    head = json.dumps({"model_name": "m", "outputs": entries}).encode()
    part = np.float32(1).tobytes()
    given = Answer(200, head + part, [(b"inference-header-content-length", b"%d" % len(head))])
    call = called(request())
    given.replace(call, given.tensors(call))
    length = int(dict(given.headers)[b"inference-header-content-length"])
    assert given.body[length:] == part
    assert json.loads(given.body[:length])["outputs"][1]["data"] == [2]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"outputs": [{}]}', b'{"outputs": [{"name":"x","datatype":"FP32","shape":[2],"data":[1]}]}'],
)
def test_an_answer_that_is_none_is_the_servers_fault(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        Answer(200, body).tensors(called(request()))
    assert refused.value.reason is Reason.BACKEND


def test_another_model_is_asked_by_its_own_path() -> None:
    call = called(request())
    call.model, call.version, call.target = "a", "3", "/v2/models/a/versions/3/infer"
    call.answer_by("b", "other")
    assert (call.model, call.requested, call.target, call.backend) == ("b", "a", "/v2/models/b/infer", "other")
