"""How inputs are written for a model server, and where its answers stand: one class a protocol."""

import math
import re
import urllib.parse
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.robustness.endpoints.transport import EndpointError, Host

_V2 = re.compile(r"^(?P<model>.*/v2/models/[^/]+(?:/versions/[^/]+)?)(?:/infer)?/?$")
_V1 = re.compile(r"^(?P<model>.*/v1/models/[^/:]+)(?::predict)?/?$")

_FLOATS = ("FP32", "FP64", "FP16")
_INTEGERS = {
    "UINT8": (0, 2**8 - 1), "UINT16": (0, 2**16 - 1), "UINT32": (0, 2**32 - 1), "UINT64": (0, 2**53),
    "INT8": (-(2**7), 2**7 - 1), "INT16": (-(2**15), 2**15 - 1), "INT32": (-(2**31), 2**31 - 1),
    "INT64": (-(2**53), 2**53),
}  # fmt: skip


class Wire(Protocol):
    """Requests and answers of one protocol."""

    @property
    def target(self) -> str:
        """The path that is asked, with its query."""

    @property
    def batch(self) -> int | None:
        """Inputs that one request holds at most, where the protocol says so."""

    @property
    def described(self) -> dict[str, str]:
        """What tells this endpoint, model and kind of request from others. Holds no secrets."""

    def body(self, inputs: NDArray[np.float32]) -> bytes:
        """The request for a batch (n, *shape)."""

    def rows(self, document: Any, count: int) -> Any:
        """What stands for the inputs in an answer, one element an input."""


def wire(host: Host, address: str, shape: tuple[int, ...], output: str) -> Wire:
    """The protocol that an address speaks, by its path. Raises `UsageError` for one that it does not tell."""
    parts = urllib.parse.urlsplit(address)
    query = f"?{parts.query}" if parts.query else ""
    origin = f"{parts.scheme}://{parts.netloc}"
    if found := _V2.match(parts.path):
        return v2(host, origin, found["model"], query, shape, output)
    if found := _V1.match(parts.path):
        return V1(origin, f"{found['model']}:predict{query}", output)
    raise UsageError(
        f"{origin}{parts.path}: the path names no model; end it with /v2/models/NAME (Open Inference Protocol) or "
        "/v1/models/NAME (KServe V1), or describe the endpoint in a template"
    )


@dataclass(frozen=True)
class V2:
    """The Open Inference Protocol over REST: MLServer, KServe, Triton and others."""

    origin: str
    target: str
    model: str
    input: str
    datatype: str
    shape: tuple[int, ...]
    """Of one input, as the server wants it."""
    output: str
    batch: int | None = None

    @property
    def described(self) -> dict[str, str]:
        """See `Wire`."""
        form = f"v2 {self.input} {self.datatype} {'x'.join(map(str, self.shape))} {self.output}".rstrip()
        return {"endpoint": self.origin + self.target.partition("?")[0], "model": self.model, "request": form}

    def body(self, inputs: NDArray[np.float32]) -> bytes:
        """See `Wire`."""
        values: NDArray[Any] = inputs.ravel()
        if self.datatype in _INTEGERS:
            values = values.round().clip(*_INTEGERS[self.datatype]).astype(np.int64)
        tensor = {
            "name": self.input,
            "shape": [len(inputs), *self.shape],
            "datatype": self.datatype,
            "data": values.tolist(),
        }
        document: dict[str, Any] = {"inputs": [tensor]}
        if self.output:
            document["outputs"] = [{"name": self.output}]
        return msgspec.json.encode(document)

    def rows(self, document: Any, count: int) -> Any:
        """See `Wire`."""
        outputs = document.get("outputs") if isinstance(document, dict) else None
        if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs) or not outputs:
            raise EndpointError(f"{self.origin} answers without outputs of the Open Inference Protocol")
        found = [output for output in outputs if output.get("name") == self.output] if self.output else outputs
        if len(found) != 1:
            names = ", ".join(ascii(output.get("name"))[:60] for output in outputs[:10])
            raise EndpointError(f"the model has the outputs {names}; name the one with its scores")
        shape, data = found[0].get("shape"), found[0].get("data")
        if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise EndpointError("the answer has an output without a shape")
        if not isinstance(data, list):
            raise EndpointError("the answer has an output without data in JSON")
        if shape[:1] != [count]:
            got = shape[0] if shape else "no"
            raise EndpointError(f"the answer has {got} rows for {count} inputs")
        flat = data
        while flat and isinstance(flat[0], list):
            flat = [element for part in flat for element in (part if isinstance(part, list) else [part])]
        if len(flat) != math.prod(shape):
            raise EndpointError(f"the answer has {len(flat)} elements for the shape {shape} that it gives")
        if len(shape) == 1:
            return flat
        width = len(flat) // count
        return [flat[start : start + width] for start in range(0, len(flat), width)] if width else []


def v2(host: Host, origin: str, model: str, query: str, shape: tuple[int, ...], output: str) -> V2:
    """Ask for the model's metadata, and settle how an input of this shape is sent.

    A server that gives no inputs (MLServer, where nobody wrote them down) gets FP32 in the shape of the data.
    Raises `UsageError` where the model wants something else than the data.
    """
    metadata = host.get(model + query)
    if not isinstance(metadata, dict):
        raise EndpointError(f"{origin}{model} answers with no metadata of a model")
    inputs = metadata.get("inputs") or []
    named = " ".join(str(metadata.get(name, ""))[:200] for name in ("name", "platform"))
    name, datatype, wanted = "input-0", "FP32", shape
    if inputs:
        if not isinstance(inputs, list) or not all(isinstance(each, dict) for each in inputs):
            raise EndpointError(f"{origin}{model} answers with no metadata of a model")
        if len(inputs) > 1:
            names = ", ".join(ascii(each.get("name"))[:60] for each in inputs[:10])
            raise UsageError(f"the model takes {len(inputs)} inputs ({names}); only models with one can be attacked")
        name, datatype = str(inputs[0].get("name", name)), str(inputs[0].get("datatype", datatype))
        if datatype not in _FLOATS and datatype not in _INTEGERS:
            raise UsageError(f"the model takes {ascii(datatype)[:40]}, which are no numbers")
        wanted = _agreed(inputs[0].get("shape"), shape)
    return V2(origin, f"{model}/infer{query}", named.strip(), name, datatype, wanted, output)


def _agreed(theirs: Any, ours: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one input, by the metadata's (-1 for any; the first for the batch, which Triton may leave out)."""
    if not isinstance(theirs, list) or not all(isinstance(size, int) for size in theirs):
        return ours
    for shape in (theirs[1:], theirs):
        if len(shape) == len(ours) and all(size in (-1, own) for size, own in zip(shape, ours, strict=True)):
            return ours
    flat = theirs[1:]
    if flat and -1 not in flat and math.prod(flat) == math.prod(ours):
        return tuple(flat)
    raise UsageError(f"the model takes inputs of shape {theirs}, and the data has {list(ours)} after the batch")


@dataclass(frozen=True)
class V1:
    """KServe's first protocol, which is that of TensorFlow Serving: `instances` and `predictions`."""

    origin: str
    target: str
    output: str
    """The key of the scores, where a prediction is an object."""
    batch: int | None = None

    @property
    def described(self) -> dict[str, str]:
        """See `Wire`."""
        path = self.target.partition("?")[0]
        return {"endpoint": self.origin + path, "model": "", "request": f"v1 {self.output}".rstrip()}

    def body(self, inputs: NDArray[np.float32]) -> bytes:
        """See `Wire`."""
        return msgspec.json.encode({"instances": inputs.tolist()})

    def rows(self, document: Any, count: int) -> Any:
        """See `Wire`."""
        rows = document.get("predictions") if isinstance(document, dict) else None
        if not isinstance(rows, list):
            raise EndpointError(f"{self.origin} answers without predictions")
        if any(isinstance(row, dict) for row in rows):
            if not self.output:
                keys = ", ".join(ascii(key)[:60] for row in rows[:1] if isinstance(row, dict) for key in list(row)[:10])
                raise EndpointError(f"each prediction is an object with {keys}; name the output with its scores")
            rows = [row.get(self.output) if isinstance(row, dict) else None for row in rows]
        return rows
