"""A runtime for MLServer that loads what `garrison.load` lets through, and nothing else.

    {"name": "fraud", "implementation": "garrison.serving.mlserver.loaded.LoadedRuntime",
     "parameters": {"uri": "./fraud.joblib", "extra": {"public_key": "./release.pub", "policy": "./garrison.toml"}}}

The model's bytes are copied, verified, scanned and loaded in one go: what was examined is what is served.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor, ResponseOutput
from mlserver.utils import get_model_uri

from garrison.core.errors import UsageError
from garrison.serving.mlserver.loading import predicting
from garrison.serving.mlserver.payloads import inputs
from garrison.serving.refusals import Refused

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LoadedRuntime(MLModel):  # type: ignore[misc]  # mlserver is not typed
    """`parameters.extra` has `policy` (a file), and `public_key` (a file) or `identities` by the policy: without one
    of these two, a signature is not asked for."""

    async def load(self) -> bool:
        """Raises `LoadRefused` for a model that is not let through, and MLServer stops."""
        self._predictor = await asyncio.to_thread(predicting, await get_model_uri(self._settings), self._settings)
        self.inputs = [
            MetadataTensor(name=one.name, datatype=one.datatype, shape=list(one.shape))
            for one in self._predictor.inputs
        ]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        try:
            given = {tensor.name: tensor.data for tensor in inputs(payload)}
            wanted = [output.name for output in payload.outputs or ()] or [self._predictor.outputs[0]]
            if unknown := set(wanted) - set(self._predictor.outputs):
                raise InferenceError(
                    f"no output named {sorted(unknown)[0][:64]!a}; there are {', '.join(self._predictor.outputs)}"
                )
            found = self._predictor.predict(given, wanted)
        except (Refused, UsageError) as error:
            raise InferenceError(str(error)) from None
        except (ValueError, TypeError, RuntimeError):  # what frameworks raise for inputs of another shape
            raise InferenceError("the model does not take inputs of this shape and datatype") from None
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            id=payload.id,
            outputs=[_output(name, data) for name, data in found.items()],
        )


def _output(name: str, data: "NDArray[Any]") -> ResponseOutput:
    if data.dtype.kind in "OUS":
        return StringCodec.encode_output(name, [str(element) for element in data.ravel()])
    return NumpyCodec.encode_output(name, data if data.ndim else data.reshape(1))
