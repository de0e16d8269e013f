"""The configuration of a guard before one model, where nobody has written one: nothing is open that need not be."""

import os
from collections.abc import Callable

import msgspec

from garrison.core.errors import UsageError
from garrison.serving.authenticate.settings import Authenticate
from garrison.serving.authorise.settings import Authorise, Grant
from garrison.serving.config.config import Backend, Config, Listen, Model
from garrison.serving.mlserver.launching import Served
from garrison.serving.record.settings import Record
from garrison.serving.schema.drafting import from_metadata
from garrison.serving.schema.settings import Input, Schema

ROLE = "caller"
"""What whoever has a key may be: it may infer, and ask what the model takes."""

Rows = Callable[[Input | None], Input]
"""Makes an input of data, given what the model itself says of it."""


def config(served: Served, *, backend: Backend, schema: Schema, keys: str, audit: str, listen: Listen) -> Config:
    """A guard before this model, for those whose keys are in the file `keys` with the role `caller`."""
    return Config(
        listen=listen,
        backends={"default": backend},
        models={served.name: Model(schema=schema)},
        authenticate=Authenticate(keys=os.path.abspath(keys)),
        authorise=Authorise(roles={ROLE: (Grant(actions=("infer", "metadata"), models=(served.name,)),)}),
        record=Record(directory=os.path.abspath(audit)),
    )


def schema(metadata: bytes, *, rows: Rows | None, unchecked: bool) -> Schema:
    """What the model takes: as it says itself, with the range of data where there is some.

    Raises `UsageError` where nothing says it, unless `unchecked`.
    """
    if unchecked:
        return Schema(unchecked=True)
    try:
        told = from_metadata(metadata)
    except UsageError:
        told = ()
    if rows is not None and len(told) < 2:
        return Schema(inputs=(rows(told[0] if told else None),))
    if rows is not None:
        raise UsageError(f"--data: the model takes {len(told)} inputs; write their ranges into a guard.toml")
    if not told:
        raise UsageError(
            "the model does not say what it takes: give data that it was made for with --data, or write "
            "--unchecked-schema to let through whatever the protocol allows"
        )
    return Schema(inputs=told)


def before(own: Config, served: Served, *, backend: Backend, listen: Listen) -> Config:
    """Somebody's own configuration, for this server. Raises `UsageError` for one without the model."""
    model = own.models.get(served.name)
    if model is None:
        raise UsageError(f"the configuration has no [models.{served.name}]; name the model with --name")
    backends = {**own.backends, model.backend: backend}
    return msgspec.structs.replace(own, backends=backends, listen=listen)
