"""Holds calls to what their model takes."""

from collections.abc import Mapping

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call
from garrison.serving.config.config import Config, Model
from garrison.serving.refusals import Reason, Refused
from garrison.serving.schema.addresses import address_in
from garrison.serving.schema.checks import InputCheck, address_refused
from garrison.serving.schema.settings import Schema
from garrison.serving.services import Services

_READ = (Action.INFER, Action.EXPLAIN)
_BINARY = frozenset({"binary_data", "binary_data_size", "binary_data_output"})
"""Parameters of the binary tensor data extension; codecs hold them to the body."""


class SchemaStage:
    name = "schema"

    def __init__(self, settings: Schema) -> None:
        """Raises `UsageError`."""
        self.on_failure = settings.on_failure
        self._checks = {one.name: InputCheck(one, finite=settings.finite) for one in settings.inputs}
        if len(self._checks) != len(settings.inputs):
            raise UsageError("schema: two inputs have the same name")
        self._required = tuple(one.name for one in settings.inputs if not one.optional)
        self._rows = frozenset(one.name for one in settings.inputs if one.shape and one.shape[0] == -1)
        self._most_rows = settings.most_rows
        self._outputs = frozenset(settings.outputs)
        self._parameters = frozenset(settings.parameters) | _BINARY
        self._unchecked = settings.unchecked

    def before(self, call: Call) -> None:
        if call.action not in _READ:
            return
        tensors = call.tensors()
        if call.parameters:
            self._plain(call.parameters, "request")
        for wanted in call.wanted:
            if self._outputs and wanted.name not in self._outputs:
                raise Refused(Reason.MALFORMED, f"the model gives {', '.join(sorted(self._outputs))}")
            if wanted.parameters:
                self._plain(wanted.parameters, "requested output")
        for tensor in tensors:
            if tensor.parameters:
                self._plain(tensor.parameters, "input")
            if self._unchecked:
                continue
            check = self._checks.get(tensor.name)
            if check is None:
                raise Refused(Reason.MALFORMED, f"the model takes {', '.join(self._checks)}")
            check.check(tensor)
            if tensor.name in self._rows and not 0 < tensor.shape[0] <= self._most_rows:
                if not tensor.shape[0]:
                    # Servers fail over these as if it were their own fault.
                    raise Refused(Reason.MALFORMED, f"input {tensor.name!a} has no rows")
                raise Refused(Reason.TOO_LARGE, f"the model takes {self._most_rows:,} rows at once")
        if len(tensors) < len(self._checks):
            given = {tensor.name for tensor in tensors}
            for name in self._required:
                if name not in given:
                    raise Refused(Reason.MALFORMED, f"the model takes an input {name!a}")

    def after(self, call: Call, answer: Answer) -> None:
        pass

    def _plain(self, parameters: Mapping[str, object], of: str) -> None:
        for name, value in parameters.items():
            if name not in self._parameters:
                raise Refused(Reason.MALFORMED, f"the {of} has a parameter {name[:64]!a}, which is not taken")
            if isinstance(value, str) and address_in(value.encode()):
                raise address_refused(f"parameter {name[:64]!a}")


def stage(config: Config, model: Model | None, services: Services) -> SchemaStage | None:
    """The stage of a model. Raises `UsageError` for one of which nothing says what it takes."""
    if model is None:
        return None
    if not model.schema.inputs and not model.schema.unchecked:
        raise UsageError(
            "schema: nothing says what the model takes; `garrison guard draft` helps, `unchecked = true` does without"
        )
    try:
        return SchemaStage(model.schema)
    except UsageError as error:
        raise UsageError(f"schema: {error}") from None
