"""Tensors in the messages of the gRPC service, both as `contents` and as `raw_input_contents`.

What a caller sends is read once, held against itself (shapes, lengths, counts, kinds), and written anew from what was
read. Nothing that was not understood goes on to the server.
"""

import math
import os
from typing import Any

import msgspec
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from garrison.serving.calls import Answer, Call, Wanted
from garrison.serving.grpc.messages import ModelInferRequest, ModelInferResponse
from garrison.serving.refusals import Reason, Refused
from garrison.serving.tensors.binary import from_bytes, to_bytes
from garrison.serving.tensors.datatypes import DTYPES
from garrison.serving.tensors.tensor import Tensor

_MOST_TENSORS = 256
_MOST_DIMENSIONS = 16
_MOST_ELEMENTS = 1 << 40
"""Of an empty tensor, were its empty dimensions not; those of others are as many as came."""
_MOST_PARAMETERS = 64
_MOST_NAME = 1024
"""Bytes of names, identifiers and parameters, each."""


def _table(name: str) -> dict[str, str]:
    with open(os.path.join(os.path.dirname(__file__), name), "rb") as file:
        return msgspec.json.decode(file.read(), type=dict[str, str])


_CONTENTS = _table("contents.json")
"""By datatype the field of `InferTensorContents`; those that are not here come raw only."""
_CLOSED = _table("parameters.json")
"""By name, why a parameter is not let through."""


class InferCodec:
    """The codec of one `ModelInfer` call."""

    __slots__ = ("_message",)

    def __init__(self, message: Any = None) -> None:
        """`message` is the request, where it has been parsed already; it is the codec's from now on."""
        self._message = message

    def read(self, call: Call) -> tuple[Tensor, ...]:
        """The inputs of a call; its body becomes what they were read as."""
        message = self._message
        if message is None:
            message = parsed(ModelInferRequest, call.body)
        _bounded(message)
        message.DiscardUnknownFields()
        tensors = _tensors(message.inputs, message.raw_input_contents, _malformed)
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise _malformed("two inputs have the same name")
        if len({output.name for output in message.outputs}) != len(message.outputs):
            raise _malformed("two requested outputs have the same name")
        call.name = message.id
        if message.parameters:
            call.parameters = _values(message.parameters)
        if message.outputs:
            call.wanted = tuple(Wanted(one.name, _values(one.parameters)) for one in message.outputs)
        call.body = message.SerializeToString()
        return tensors

    def outputs(self, call: Call, answer: Answer) -> tuple[Tensor, ...]:
        """The outputs in an answer."""
        message = _response(answer)
        return _tensors(message.outputs, message.raw_output_contents, _unreadable)

    def write(self, call: Call, answer: Answer, outputs: tuple[Tensor, ...]) -> None:
        """Put outputs in place of an answer's own, raw where those were raw."""
        message = _response(answer)
        raw = bool(message.raw_output_contents) or not message.outputs
        del message.outputs[:]
        del message.raw_output_contents[:]
        message.ClearField("parameters")  # nobody has looked at what else the server says
        raw = raw or any(tensor.datatype not in _CONTENTS for tensor in outputs)
        for tensor in outputs:
            output = message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            for name, value in tensor.parameters.items():
                _set(output.parameters[name], value)
            if raw:
                message.raw_output_contents.append(to_bytes(tensor))
            else:
                field = getattr(output.contents, _CONTENTS[tensor.datatype])
                field.extend(tensor.data.ravel().tolist())
        answer.body = message.SerializeToString()


class PlainCodec:
    """The codec of one call that has no tensors."""

    __slots__ = ("_message", "_parameters")

    def __init__(self, message: Any, parameters: frozenset[str]) -> None:
        """`parameters` are those of a request to load or unload a model that go on."""
        self._message = message
        self._parameters = parameters

    def read(self, call: Call) -> tuple[Tensor, ...]:
        """Nothing; the body of the call becomes what was read in it."""
        message = self._message
        for name in getattr(message, "parameters", ()):
            if name not in self._parameters:
                raise Refused(Reason.FORBIDDEN, "a model is loaded as it lies in the repository, without parameters")
        message.DiscardUnknownFields()
        call.body = message.SerializeToString()
        return ()

    def outputs(self, call: Call, answer: Answer) -> tuple[Tensor, ...]:
        return ()

    def write(self, call: Call, answer: Answer, outputs: tuple[Tensor, ...]) -> None:
        raise TypeError("the answer has no tensors")


def renamed(body: bytes, model: str, version: str) -> bytes:
    """The same request to infer, for another model."""
    message = parsed(ModelInferRequest, body)
    message.model_name, message.model_version = model, version
    serialised: bytes = message.SerializeToString()
    return serialised


def parsed(kind: Any, body: bytes) -> Any:
    """A message of a caller. Raises `Refused` for what is none."""
    try:
        return kind.FromString(body)
    except DecodeError:
        raise _malformed("the message cannot be read") from None


def _response(answer: Answer) -> Any:
    try:
        message = ModelInferResponse.FromString(answer.body)
    except DecodeError:
        raise _unreadable("") from None
    message.DiscardUnknownFields()
    return message


def _malformed(message: str) -> Refused:
    return Refused(Reason.MALFORMED, message)


def _unreadable(message: str) -> Refused:
    return Refused(Reason.BACKEND, "the model server's answer cannot be read")


def _bounded(message: Any) -> None:
    if len(message.inputs) > _MOST_TENSORS or len(message.outputs) > _MOST_TENSORS:
        raise Refused(Reason.TOO_LARGE, "the request has too many tensors")
    if len(message.id) > _MOST_NAME:
        raise Refused(Reason.TOO_LARGE, "the id of the request is too long")
    _closed(message.parameters, "request")
    for one in message.inputs:
        _closed(one.parameters, "input")
    for one in message.outputs:
        if len(one.name) > _MOST_NAME:
            raise Refused(Reason.TOO_LARGE, "the name of an output is too long")
        _closed(one.parameters, "output")


def _closed(parameters: Any, of: str) -> None:
    if not parameters:
        return
    if len(parameters) > _MOST_PARAMETERS:
        raise Refused(Reason.TOO_LARGE, f"the {of} has too many parameters")
    for name, value in parameters.items():
        why = _CLOSED.get(name)
        if why is not None:
            raise Refused(Reason.FORBIDDEN, why)
        if len(name) + len(value.string_param) > _MOST_NAME:
            raise Refused(Reason.TOO_LARGE, f"a parameter of the {of} is too long")
        if value.WhichOneof("parameter_choice") is None:
            raise _malformed(f"a parameter of the {of} has no value")


def _tensors(described: Any, raw: Any, failure: Any) -> tuple[Tensor, ...]:
    if raw:
        if len(raw) != len(described):
            raise failure("there are not as many raw contents as tensors")
        return tuple(_tensor(one, data, failure) for one, data in zip(described, raw, strict=True))
    return tuple(_tensor(one, None, failure) for one in described)


def _tensor(described: Any, raw: bytes | None, failure: Any) -> Tensor:
    datatype = described.datatype
    if datatype not in DTYPES:
        raise failure("a tensor has a datatype that there is not")
    shape = tuple(described.shape)
    if len(shape) > _MOST_DIMENSIONS or min(shape, default=0) < 0:
        raise failure("a tensor has a shape that no tensor has")
    name = described.name
    if len(name) > _MOST_NAME:
        raise failure("the name of a tensor is too long")
    count = math.prod(shape)
    if not count and math.prod(filter(None, shape)) > _MOST_ELEMENTS:
        raise failure("a tensor has a shape that no tensor has")
    if raw is None:
        data = _from_contents(described, datatype, count, failure).reshape(shape)
    elif described.HasField("contents") and described.contents.ListFields():
        # Empty ones beside raw ones are what MLServer answers.
        raise failure("a tensor has both raw contents and others")
    else:
        try:
            data = from_bytes(datatype, shape, raw)
        except ValueError as error:
            raise failure(f"a tensor's raw contents have {error}") from None
    parameters = _values(described.parameters) if described.parameters else {}
    return Tensor(name, datatype, shape, data, parameters)


def _from_contents(described: Any, datatype: str, count: int, failure: Any) -> NDArray[Any]:
    field, dtype = _CONTENTS.get(datatype), DTYPES[datatype]
    if field is None:
        raise failure(f"tensors of {datatype} have raw contents only")
    present = described.contents.ListFields()
    if not present and count == 0:
        return np.empty(0, dtype)
    if len(present) != 1 or present[0][0].name != field:
        raise failure(f"tensors of {datatype} have their contents in {field}, and in nothing else")
    values = present[0][1]
    if len(values) != count:
        raise failure("a tensor has not as many contents as its shape says")
    if field in ("fp32_contents", "fp64_contents"):
        # One packed field serialises to its tag, its length, and the numbers as they lie in memory.
        return np.frombuffer(described.contents.SerializeToString()[-count * dtype.itemsize :], dtype)
    if datatype == "BYTES":
        data = np.empty(count, object)
        data[:] = values
        return data
    if dtype.itemsize < 4:
        limits = (0, 1) if datatype == "BOOL" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        wide = np.fromiter(values, np.int64, count)
        if wide.min() < limits[0] or wide.max() > limits[1]:
            raise failure(f"a tensor of {datatype} has a number that is none")
        return wide.astype(dtype)
    return np.fromiter(values, dtype, count)


def _values(parameters: Any) -> dict[str, bool | int | float | str]:
    return {name: _value(one) for name, one in parameters.items()}


def _value(parameter: Any) -> bool | int | float | str:
    choice = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, choice) if choice else ""


def _set(parameter: Any, value: bool | int | float | str) -> None:
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        field = "int64_param" if -(1 << 63) <= value < 1 << 63 else "uint64_param"
        setattr(parameter, field, value)
    elif isinstance(value, float):
        parameter.double_param = value
    else:
        parameter.string_param = value
