"""A runtime for MLServer that puts a guard before another runtime.

    {"name": "fraud", "implementation": "garrison.serving.mlserver.guarded.GuardedRuntime",
     "parameters": {"uri": "./fraud.joblib", "extra": {"implementation": "mlserver_sklearn.SKLearnModel",
                                                      "guard": "./guard.toml"}}}

It stands where MLServer lets one stand: REST and gRPC have been read by then, and the repository is not its.
"""

import os
from collections.abc import AsyncIterator
from typing import Any

from mlserver import MLModel
from mlserver.errors import MLServerError
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse
from pydantic import ImportString, TypeAdapter

from garrison.core.errors import UsageError
from garrison.serving.mlserver.guarding import Refusal, enter, leave


class GuardedRuntime(MLModel):  # type: ignore[misc]  # mlserver is not typed
    """`parameters.extra` has `implementation`, the runtime to guard, and `guard`, the configuration; what else is there
    is the runtime's own."""

    async def load(self) -> bool:
        """Raises `MLServerError` for settings and configurations that cannot be, and MLServer stops."""
        extra = dict((self._settings.parameters.extra if self._settings.parameters else None) or {})
        implementation, self._path = extra.pop("implementation", ""), extra.pop("guard", "")
        if not implementation or not self._path:
            raise MLServerError("parameters.extra names the implementation to guard, and the guard's configuration")
        self._path = _beside(self._settings, self._path)
        settings = self._settings.model_copy(deep=True)
        settings.parameters.extra = extra
        settings.implementation_ = implementation
        runtime = TypeAdapter(ImportString).validate_python(implementation)(settings)
        if not await runtime.load():
            return False
        try:
            self._guard = await enter(self._path, self.name, runtime)
        except UsageError as error:
            raise MLServerError(str(error)) from None
        self._runtime = runtime
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        found = await self._guard.predict(self.name, self.version or "", payload)
        if isinstance(found, Refusal):
            raise MLServerError(found.message, found.status)
        return found

    async def predict_stream(self, payloads: AsyncIterator[InferenceRequest]) -> AsyncIterator[InferenceResponse]:
        raise MLServerError("streams are not offered here: ask for one answer at a time", 405)
        yield

    async def metadata(self) -> MetadataModelResponse:
        return await self._runtime.metadata()

    async def unload(self) -> bool:
        await leave(self._path, self.name)
        return bool(await self._runtime.unload())


def _beside(settings: Any, path: str) -> str:
    """A path that begins where the model's settings lie."""
    source = getattr(settings, "_source", None)
    return os.path.join(os.path.dirname(source) if source else "", path)
