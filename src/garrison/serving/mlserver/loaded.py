"""A runtime for MLServer that loads what `garrison.load` lets through, and nothing else.

    {"name": "fraud", "implementation": "garrison.serving.mlserver.loaded.LoadedRuntime",
     "parameters": {"uri": "./fraud.joblib", "extra": {"public_key": "./release.pub", "policy": "./garrison.toml"}}}

The model's bytes are copied, verified, scanned and loaded in one go: what was examined is what is served.
"""

import asyncio
import functools
import os
from typing import TYPE_CHECKING, Any

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from mlserver.utils import get_model_uri

from garrison.core.errors import UsageError
from garrison.core.policy_file import load_policy
from garrison.loading import load
from garrison.serving.mlserver.payloads import inputs
from garrison.serving.mlserver.predictors import Predictor, predictor
from garrison.serving.refusals import Refused

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LoadedRuntime(MLModel):  # type: ignore[misc]  # mlserver is not typed
    """`parameters.extra` has `policy` (a file), and `public_key` (a file) or `identities` by the policy: without one
    of these two, a signature is not asked for."""

    async def load(self) -> bool:
        """Raises `LoadRefused` for a model that is not let through, and MLServer stops."""
        path = await get_model_uri(self._settings)
        extra = dict((self._settings.parameters.extra if self._settings.parameters else None) or {})
        self._predictor = await asyncio.to_thread(
            predicting, os.path.abspath(path), str(extra.get("policy", "")), str(extra.get("public_key", ""))
        )
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


@functools.lru_cache(maxsize=64)
def predicting(path: str, policy: str, public_key: str) -> Predictor:
    """The predictor of a model's file. Raises `LoadRefused`, and `UsageError` for what cannot be asked.

    Remembered, so that who starts the server may find out first whether it will load.
    """
    trust = None
    if public_key:
        from garrison.core.policy import Identity
        from garrison.provenance.trust import Trust

        trust = Trust(identities=(Identity(name=os.path.basename(public_key), public_key=os.path.abspath(public_key)),))
    return predictor(load(path, load_policy(policy or None, start=os.path.dirname(path)), trust=trust))
