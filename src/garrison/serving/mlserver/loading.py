"""Which model `LoadedRuntime` serves, found out before MLServer asks for it.

Apart from the runtime, whose module MLServer reads anew whenever it makes a model.
"""

import functools
import os
from collections.abc import Iterable
from typing import Any

from garrison.core.policy_file import load_policy
from garrison.loading import load
from garrison.serving.mlserver.predictors import Predictor, predictor

RUNTIME = "garrison.serving.mlserver.loaded.LoadedRuntime"


def foretell(models: Iterable[Any]) -> None:
    """Load what the runtime shall load for these settings, to be found again when MLServer asks for it.

    Raises `LoadRefused`, and `UsageError` for what cannot be asked, before anything is served.
    """
    for settings in models:
        if settings.implementation_ == RUNTIME and settings.parameters is not None:
            predicting(settings.parameters.uri, settings)


def predicting(uri: str, settings: Any) -> Predictor:
    """The predictor for a model of these `ModelSettings`. Raises as `garrison.load` does."""
    extra = (settings.parameters.extra if settings.parameters else None) or {}
    return _predicting(os.path.abspath(uri), str(extra.get("policy", "")), str(extra.get("public_key", "")))


@functools.lru_cache(maxsize=64)
def _predicting(path: str, policy: str, public_key: str) -> Predictor:
    trust = None
    if public_key:
        from garrison.core.policy import Identity
        from garrison.provenance.trust import Trust

        trust = Trust(identities=(Identity(name=os.path.basename(public_key), public_key=os.path.abspath(public_key)),))
    return predictor(load(path, load_policy(policy or None, start=os.path.dirname(path)), trust=trust))
