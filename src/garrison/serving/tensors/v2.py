"""The Open Inference Protocol over REST: JSON, with or without binary tensor data
(https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md).

The envelope of a request is read into fields that are known, and written anew from them: a field that came twice, or
that is unknown, reaches no server. The text of numbers goes on as it came, once it was read to its end.
"""

import math
from typing import Annotated, Any

import msgspec
import numpy as np

from garrison.serving.calls import Answer, Call, Wanted
from garrison.serving.refusals import Reason, Refused
from garrison.serving.tensors import numbers
from garrison.serving.tensors.binary import from_bytes, to_bytes
from garrison.serving.tensors.datatypes import DTYPES
from garrison.serving.tensors.tensor import Tensor

_MOST_ELEMENTS = 1 << 40
"""Of an empty tensor, were its empty dimensions not."""
_HEADER = "inference-header-content-length"
_EMPTY = msgspec.Raw()

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Parameters = Annotated[
    dict[
        Annotated[str, msgspec.Meta(max_length=256)], bool | int | float | Annotated[str, msgspec.Meta(max_length=4096)]
    ],
    msgspec.Meta(max_length=64),
]
Shape = Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]], msgspec.Meta(max_length=16)]


class _Input(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: Name
    datatype: str
    shape: Shape
    parameters: Parameters = {}
    data: msgspec.Raw = _EMPTY


class _Output(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: Name
    parameters: Parameters = {}


class _Request(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    inputs: Annotated[list[_Input], msgspec.Meta(min_length=1, max_length=256)]
    id: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    parameters: Parameters = {}
    outputs: Annotated[list[_Output], msgspec.Meta(max_length=256)] = []


class _AnswerOutput(msgspec.Struct):
    name: str
    datatype: str
    shape: Shape
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = _EMPTY


class _Response(msgspec.Struct):
    outputs: Annotated[list[_AnswerOutput], msgspec.Meta(max_length=256)]
    model_name: str = ""
    model_version: str | None = None
    id: str | None = None


_REQUEST = msgspec.json.Decoder(_Request)
_RESPONSE = msgspec.json.Decoder(_Response)
_ENCODER = msgspec.json.Encoder()


class V2Codec:
    """Reads and writes bodies of `infer`."""

    def read(self, call: Call) -> tuple[Tensor, ...]:
        head, binary = _parts(call)
        request = _decoded(head)
        tensors = tuple(self._input(one, binary) for one in request.inputs)
        if binary is not None and binary.left:
            raise _malformed("the body has more binary data than its inputs")
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise _malformed("two inputs have the same name")
        if len({output.name for output in request.outputs}) != len(request.outputs):
            raise _malformed("two requested outputs have the same name")
        call.name = request.id
        call.parameters = request.parameters
        if request.outputs:
            call.wanted = tuple(Wanted(one.name, one.parameters) for one in request.outputs)
        written = _ENCODER.encode(request)
        if binary is None:
            call.body = written
            call.headers = _with(call, "application/json", None)
        else:
            call.body = b"".join((written, binary.whole))
            call.headers = _with(call, "application/octet-stream", len(written))
        return tensors

    def outputs(self, call: Call, answer: Answer) -> tuple[Tensor, ...]:
        try:
            head, binary = _answer_parts(answer)
            response = _RESPONSE.decode(head)
            return tuple(_output(one, binary) for one in response.outputs)
        except (msgspec.DecodeError, ValueError, KeyError, RecursionError):
            raise Refused(Reason.BACKEND, "the model server's answer cannot be read") from None

    def write(self, call: Call, answer: Answer, outputs: tuple[Tensor, ...]) -> None:
        """What else the server says beside its outputs is left out, as nobody has looked at it."""
        head, _ = _answer_parts(answer)
        response = _RESPONSE.decode(head)
        binary = {one.name for one in response.outputs if "binary_data_size" in one.parameters}
        listed: list[dict[str, Any]] = []
        parts = []
        for tensor in outputs:
            entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
            parameters = {name: value for name, value in tensor.parameters.items() if name != "binary_data_size"}
            if tensor.name in binary:
                parts.append(to_bytes(tensor))
                parameters["binary_data_size"] = len(parts[-1])
            else:
                entry["data"] = numbers.write(tensor.data, tensor.datatype)
            if parameters:
                entry["parameters"] = parameters
            listed.append(entry)
        document: dict[str, Any] = {"model_name": response.model_name, "outputs": listed}
        if response.model_version is not None:
            document["model_version"] = response.model_version
        if response.id is not None:
            document["id"] = response.id
        written = _ENCODER.encode(document)
        answer.body = b"".join((written, *parts))
        answer.headers = [pair for pair in answer.headers if pair[0] not in (_HEADER.encode(), b"content-type")]
        if parts:
            answer.headers.append((_HEADER.encode(), b"%d" % len(written)))
        answer.headers.append((b"content-type", b"application/octet-stream" if parts else b"application/json"))

    @staticmethod
    def _input(one: _Input, binary: "_Binary | None") -> Tensor:
        shape = _shape(one.shape, one.datatype)
        size = one.parameters.get("binary_data_size")
        try:
            if size is None:
                if not one.data:
                    raise ValueError("has no data")
                data = numbers.read(one.datatype, shape, memoryview(one.data))
                if one.datatype == "BYTES":
                    # Texts have more than one way to be written, and readers that disagree.
                    one.data = msgspec.Raw(_ENCODER.encode(numbers.write(data, "BYTES")))
            else:
                if binary is None or one.data or type(size) is not int:
                    raise ValueError("has its data in two places, or in none")
                data = from_bytes(one.datatype, shape, binary.take(size))
        except ValueError as error:
            raise _malformed(f"input {one.name[:64]!a} {error}") from None
        return Tensor(one.name, one.datatype, shape, data, one.parameters)


class _Binary:
    """The binary data behind a head, taken in the order of its tensors."""

    __slots__ = ("_taken", "_view", "whole")

    def __init__(self, whole: bytes) -> None:
        self.whole = whole
        self._view = memoryview(whole)
        self._taken = 0

    @property
    def left(self) -> int:
        return len(self.whole) - self._taken

    def take(self, size: int) -> memoryview:
        if not 0 <= size <= self.left:
            raise ValueError("says that it has more binary data than the body has")
        start, self._taken = self._taken, self._taken + size
        return self._view[start : self._taken]


def _parts(call: Call) -> tuple[bytes, _Binary | None]:
    declared = call.headers.get(_HEADER)
    if declared is None:
        return call.body, None
    if not (declared.isascii() and declared.isdigit() and len(declared) < 12) or int(declared) > len(call.body):
        raise _malformed("the length of the head of the body is not valid")
    return call.body[: int(declared)], _Binary(call.body[int(declared) :])


def _answer_parts(answer: Answer) -> tuple[bytes, _Binary | None]:
    declared = next((value for name, value in answer.headers if name == _HEADER.encode()), None)
    if declared is None:
        return answer.body, None
    length = int(declared)
    if not 0 <= length <= len(answer.body):
        raise ValueError("the length of the head is beyond the body")
    return answer.body[:length], _Binary(answer.body[length:])


def _decoded(head: bytes) -> _Request:
    try:
        return _REQUEST.decode(head)
    except msgspec.ValidationError as error:
        raise _malformed(f"the body is no inference request: {_reason(error)}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _malformed("the body is no valid JSON") from None


def _reason(error: msgspec.ValidationError) -> str:
    # It names fields of ours, and one of theirs at the most; what a caller wrote is shown short and escaped.
    return ascii(str(error))[1:-1][:200]


def _shape(shape: list[int], datatype: str) -> tuple[int, ...]:
    if datatype not in DTYPES:
        raise _malformed(f"there is no datatype {datatype[:16]!a}")
    if 0 in shape and math.prod(filter(None, shape)) > _MOST_ELEMENTS:
        raise _malformed("a tensor has a shape that no tensor has")
    return tuple(shape)


def _output(one: _AnswerOutput, binary: _Binary | None) -> Tensor:
    shape = tuple(one.shape)
    size = one.parameters.get("binary_data_size")
    if size is None:
        data = _lenient(one, shape)
    elif binary is None:
        raise ValueError("binary data without a head")
    else:
        data = from_bytes(one.datatype, shape, binary.take(int(size)))
    return Tensor(one.name, one.datatype, shape, data, one.parameters)


def _lenient(one: _AnswerOutput, shape: tuple[int, ...]) -> Any:
    """Servers nest as they please, write floats of whole numbers without a point, and NaN as null."""
    try:
        return numbers.read(one.datatype, shape, memoryview(one.data))
    except ValueError:
        values = msgspec.json.decode(one.data)
        if one.datatype == "BYTES":
            raise
        found = np.array(values, np.float64 if one.datatype.startswith("FP") else None)
        return found.astype(DTYPES[one.datatype]).reshape(shape)


def _with(call: Call, media_type: str, head: int | None) -> dict[str, str]:
    """The headers that describe the body as it is written now."""
    headers = dict(call.headers)
    headers["content-type"] = media_type
    headers.pop(_HEADER, None)
    if head is not None:
        headers[_HEADER] = str(head)
    return headers


def _malformed(message: str) -> Refused:
    return Refused(Reason.MALFORMED, message)
