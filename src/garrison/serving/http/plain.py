"""Models that speak no protocol but JSON of their own: each has a path, and pointers to its tensors."""

from collections.abc import Mapping

from garrison.serving.calls import Action, Codec
from garrison.serving.config.config import Model
from garrison.serving.http.routes import Route
from garrison.serving.tensors.documents import PointedCodec


def served(models: Mapping[str, Model]) -> tuple[list[Route], dict[str, Codec]]:
    """The routes of such models, and the codecs that these name. Raises `UsageError` for pointers that are none."""
    routes: list[Route] = []
    codecs: dict[str, Codec] = {}
    for name, model in models.items():
        if model.plain is not None:
            codec = f"plain {name}"
            codecs[codec] = PointedCodec(model.plain.inputs, model.plain.outputs)
            pattern = model.plain.path
            routes.append(
                Route(operation="plain", method="POST", pattern=pattern, action=Action.INFER, codec=codec, model=name)
            )
    return routes, codecs
