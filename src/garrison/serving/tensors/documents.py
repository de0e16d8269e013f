"""Bodies in JSON that hold no tensors by name: KServe's V1, Triton's `generate`, and whatever one's own server takes.

They are read whole and written anew: a name that came twice is refused, as readers disagree on which of them counts.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.serving.calls import Answer, Call
from garrison.serving.refusals import Reason, Refused
from garrison.serving.tensors import numbers
from garrison.serving.tensors.tensor import Tensor

_DEEPEST = 32
_MOST_DIMENSIONS = 16
_MOST_PARAMETERS = 64
_MOST_TEXT = 4096
_ORIGIN = ("id", "model_name", "model_version")
"""What tells where an answer of the extension for generating is from."""


class V1Codec:
    """KServe's V1 (https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol): `instances`
    or `inputs` are one tensor of that name, and `predictions` is another."""

    def read(self, call: Call) -> tuple[Tensor, ...]:
        document = _document(call)
        present = [name for name in ("instances", "inputs") if name in document]
        if len(present) != 1:
            raise _malformed("the body has either instances or inputs")
        (name,) = present
        if unknown := document.keys() - {name, "signature_name", "parameters"}:
            raise _malformed(f"the body has {sorted(unknown)[0][:64]!a}, which no request of V1 has")
        call.parameters = _parameters(document)
        if "signature_name" in document:
            # It chooses what is asked as a parameter does, and is let through by the same list.
            call.parameters = _parameters(
                {"parameters": {**call.parameters, "signature_name": document["signature_name"]}}
            )
        return (_tensor(name, document[name]),)

    def outputs(self, call: Call, answer: Answer) -> tuple[Tensor, ...]:
        document = _answered(answer)
        name = next((name for name in ("predictions", "outputs", "explanations") if name in document), None)
        return (_output(name, document[name]),) if name else ()

    def write(self, call: Call, answer: Answer, outputs: tuple[Tensor, ...]) -> None:
        _answer(answer, {tensor.name: _nested(tensor) for tensor in outputs})


class GenerateCodec:
    """Triton's extension for generating
    (https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_generate.md): each member of
    the body is a tensor with one element, or with the elements of a list."""

    def read(self, call: Call) -> tuple[Tensor, ...]:
        document = _document(call)
        call.parameters = _parameters(document)
        name = document.get("id", "")
        if not isinstance(name, str) or len(name) > _MOST_TEXT:
            raise _malformed("the id of a request is a short text")
        call.name = name
        return tuple(
            _tensor(name, value if isinstance(value, list) else [value])
            for name, value in document.items()
            if name not in ("id", "parameters")
        )

    def outputs(self, call: Call, answer: Answer) -> tuple[Tensor, ...]:
        document = _answered(answer)
        return tuple(
            _output(name, value if isinstance(value, list) else [value])
            for name, value in document.items()
            if name not in ("id", "model_name", "model_version") and not isinstance(value, dict)
        )

    def write(self, call: Call, answer: Answer, outputs: tuple[Tensor, ...]) -> None:
        document = _answered(answer)
        found: dict[str, Any] = {name: document[name] for name in _ORIGIN if isinstance(document.get(name), str)}
        for tensor in outputs:
            values = _nested(tensor)
            found[tensor.name] = values if isinstance(document.get(tensor.name), list) else values[0]
        _answer(answer, found)


class PointedCodec:
    """Any document, in which JSON pointers (RFC 6901) tell where the tensors are."""

    def __init__(self, inputs: dict[str, str], outputs: dict[str, str]) -> None:
        """Pointers by the name of the tensor. Raises `UsageError` for what is no pointer."""
        self._inputs = {name: _pointer(text) for name, text in inputs.items()}
        self._outputs = {name: _pointer(text) for name, text in outputs.items()}
        if not inputs:
            raise UsageError("no pointer says where the inputs are")

    def read(self, call: Call) -> tuple[Tensor, ...]:
        document = _document(call)
        _only(document, list(self._inputs.values()))
        found = []
        for name, pointer in self._inputs.items():
            value = _at(document, pointer)
            if value is None:
                raise _malformed(f"the body has no /{'/'.join(pointer)}")
            found.append(_tensor(name, value if isinstance(value, list) else [value]))
        return tuple(found)

    def outputs(self, call: Call, answer: Answer) -> tuple[Tensor, ...]:
        document = _answered(answer)
        values = {name: _at(document, pointer) for name, pointer in self._outputs.items()}
        return tuple(
            _output(name, value if isinstance(value, list) else [value])
            for name, value in values.items()
            if value is not None
        )

    def write(self, call: Call, answer: Answer, outputs: tuple[Tensor, ...]) -> None:
        document = _answered(answer)
        for tensor in outputs:
            *way, last = self._outputs[tensor.name]
            holder = _at(document, way)
            values = _nested(tensor)
            key = int(last) if isinstance(holder, list) else last
            holder[key] = values if isinstance(holder[key], list) else values[0]
        _answer(answer, _pruned(document, [self._outputs[tensor.name] for tensor in outputs]))


def _document(call: Call) -> dict[str, Any]:
    """The body of a call, which is written anew."""
    try:
        document = json.loads(call.body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except _Twice:
        raise _malformed("the body has the same name twice in one place") from None
    except (ValueError, RecursionError):
        raise _malformed("the body is no valid JSON") from None
    if not isinstance(document, dict) or _depth(document) > _DEEPEST:
        raise _malformed("the body is no table in JSON, or is nested too deep")
    try:
        call.body = msgspec.json.encode(document)
    except (ValueError, OverflowError, UnicodeError):
        raise _malformed("the body has numbers or texts that no server reads alike") from None
    headers = dict(call.headers)
    headers["content-type"] = "application/json"
    headers.pop("inference-header-content-length", None)
    call.headers = headers
    return document


def _parameters(document: dict[str, Any]) -> dict[str, bool | int | float | str]:
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict) or not all(
        isinstance(value, bool | int | float | str) for value in parameters.values()
    ):
        raise _malformed("parameters are a table of names and plain values")
    if len(parameters) > _MOST_PARAMETERS or any(
        isinstance(value, str) and len(value) > _MOST_TEXT for value in parameters.values()
    ):
        raise _malformed("there are too many parameters, or too long ones")
    return parameters


class _Twice(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


def _no_number(text: str) -> None:
    raise ValueError(text)


def _depth(value: Any) -> int:
    """How deep it is nested, as far as that matters."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        depth += 1
        inner: list[Any] = []
        for one in level:
            children = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
            inner.extend(child for child in children if isinstance(child, dict | list))
        level = inner
    return depth


def _tensor(name: str, value: Any) -> Tensor:
    """A tensor of what JSON holds: numbers, truth values or texts, in lists that are as long as each other."""
    try:
        data, datatype = _array(value)
    except (ValueError, OverflowError):
        raise _malformed(f"{name[:64]!a} holds no array of numbers or of texts") from None
    return Tensor(name, datatype, data.shape, data, {})


def _output(name: str, value: Any) -> Tensor:
    try:
        data, datatype = _array(value)
    except (ValueError, OverflowError):
        raise Refused(Reason.BACKEND, "the model server's answer cannot be read") from None
    return Tensor(name, datatype, data.shape, data, {})


def _array(value: Any) -> tuple[NDArray[Any], str]:
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    if not shape or len(shape) > _MOST_DIMENSIONS:
        raise ValueError
    flat = value
    for _ in shape[1:]:
        if not all(isinstance(inner, list) for inner in flat):
            raise ValueError
        flat = [one for inner in flat for one in inner]
    kinds = {type(one) for one in flat}
    if kinds == {str}:
        data = np.empty(len(flat), object)
        data[:] = [one.encode() for one in flat]
        return data.reshape(shape), "BYTES"
    if kinds == {bool}:
        return np.array(flat, np.bool_).reshape(shape), "BOOL"
    if not kinds <= {int, float}:
        raise ValueError
    if kinds == {int}:
        return np.array(flat, np.int64).reshape(shape), "INT64"
    found = np.array(flat, np.float64).reshape(shape)
    if not np.isfinite(found).all():
        raise ValueError
    return found, "FP64"


def _answered(answer: Answer) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Refused(Reason.BACKEND, "the model server's answer cannot be read")
    return document


def _answer(answer: Answer, document: Any) -> None:
    """Nothing but outputs, and what tells where they are from: nobody has looked at what else the server says."""
    answer.body = msgspec.json.encode(document)


def _pruned(value: Any, pointers: list[tuple[str, ...]]) -> Any:
    """What the pointers lead to, in its place; elements of lists that none leads to are null."""
    if () in pointers:
        return value
    further: dict[str, list[tuple[str, ...]]] = {}
    for pointer in pointers:
        further.setdefault(pointer[0], []).append(pointer[1:])
    if isinstance(value, list):
        return [_pruned(one, further[str(at)]) if str(at) in further else None for at, one in enumerate(value)]
    return {name: _pruned(one, further[name]) for name, one in value.items() if name in further}


def _nested(tensor: Tensor) -> Any:
    if tensor.datatype == "BYTES":
        texts = np.empty(tensor.data.size, object)
        texts[:] = numbers.write(tensor.data, "BYTES")
        return texts.reshape(tensor.shape).tolist()
    return tensor.data.tolist()


def _pointer(text: str) -> tuple[str, ...]:
    if not text.startswith("/"):
        raise UsageError(f"{text!r} is no JSON pointer, such as /features")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def _at(value: Any, pointer: Sequence[str]) -> Any:
    for part in pointer:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _only(document: Any, pointers: list[tuple[str, ...]]) -> None:
    """Raise `Refused` where the document holds anything that no pointer leads to."""
    if () in pointers:
        return
    if not isinstance(document, dict):
        raise _malformed("the body holds what no request has")
    for name, value in document.items():
        further = [pointer[1:] for pointer in pointers if pointer[0] == name]
        if not further:
            raise _malformed(f"the body has {name[:64]!a}, which no request has")
        _only(value, further)


def _malformed(message: str) -> Refused:
    return Refused(Reason.MALFORMED, message)
