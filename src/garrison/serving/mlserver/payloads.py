"""MLServer's requests and responses as tensors, and back."""

from typing import Any

import numpy as np
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from garrison.serving.refusals import Reason, Refused
from garrison.serving.tensors.tensor import Tensor


def inputs(payload: InferenceRequest) -> tuple[Tensor, ...]:
    """What a request holds. Raises `Refused` for what is none of its datatype and shape."""
    found = []
    for one in payload.inputs:
        datatype, shape = str(getattr(one.datatype, "value", one.datatype)), tuple(one.shape)
        try:
            data = _bytes(one) if datatype == "BYTES" else NumpyCodec.decode_input(one)
        except Exception:  # its codecs raise whatever numpy does
            raise Refused(Reason.MALFORMED, f"input {one.name[:64]!a} is not of its datatype and shape") from None
        if data.shape != shape or (data.dtype == object and datatype != "BYTES"):
            raise Refused(Reason.MALFORMED, f"input {one.name[:64]!a} is not of its datatype and shape")
        found.append(Tensor(one.name, datatype, shape, data, {}))
    return tuple(found)


def outputs(response: InferenceResponse) -> tuple[Tensor, ...]:
    """What a response holds."""
    found = []
    for one in response.outputs:
        datatype, shape = str(getattr(one.datatype, "value", one.datatype)), tuple(one.shape)
        data = _bytes(one) if datatype == "BYTES" else NumpyCodec.decode_output(one)
        found.append(Tensor(one.name, datatype, shape, data, {}))
    return tuple(found)


def replaced(response: InferenceResponse, tensors: tuple[Tensor, ...]) -> InferenceResponse:
    """A response with other outputs."""
    return response.model_copy(update={"outputs": [written(one) for one in tensors]})


def written(tensor: Tensor) -> ResponseOutput:
    """An output."""
    if tensor.datatype == "BYTES":
        texts = [element.decode("utf-8", "replace") for element in tensor.data.flat]
        return StringCodec.encode_output(tensor.name, texts)
    return NumpyCodec.encode_output(tensor.name, np.asarray(tensor.data))


def _bytes(one: Any) -> Any:
    elements = [element if isinstance(element, bytes) else str(element).encode() for element in one.data]
    data = np.empty(len(elements), object)
    data[:] = elements
    return data.reshape(tuple(one.shape))
