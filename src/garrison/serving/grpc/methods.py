"""Which methods there are. What is in no list never reaches a server."""

import os
from typing import Any

import msgspec

from garrison.serving.calls import Action
from garrison.serving.grpc import messages


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    operation: str
    action: Action
    request: str = ""
    model: str = ""
    version: str = ""
    all: bool = False
    parameters: tuple[str, ...] = ()
    stream: bool = False


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One method of a service."""

    path: str
    """`/package.Service/Method`."""
    operation: str
    """What REST calls it in `http/routes.json`."""
    action: Action
    request: Any
    """The class of its requests."""
    model: str
    """The field that names the model; empty where there is none."""
    version: str
    all: bool
    """Whether a request without a model concerns all of them. Otherwise it is none."""
    parameters: frozenset[str]
    """Those of a request to load or unload that go on. Others bring a configuration or files along, and a server that
    takes them runs what a stranger wrote."""
    stream: bool


def _read() -> dict[str, Method]:
    with open(os.path.join(os.path.dirname(__file__), "methods.json"), "rb") as file:
        services = msgspec.json.decode(file.read(), type=dict[str, dict[str, _Line]])
    return {
        f"{service}{name}": Method(
            path=f"{service}{name}",
            operation=line.operation,
            action=line.action,
            request=messages.message(line.request or f"{name}Request"),
            model=line.model,
            version=line.version,
            all=line.all,
            parameters=frozenset(line.parameters),
            stream=line.stream,
        )
        for service, methods in services.items()
        for name, line in methods.items()
    }


METHODS = _read()
"""By path."""
