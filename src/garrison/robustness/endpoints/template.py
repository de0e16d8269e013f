"""Any HTTP API that takes JSON and gives JSON, described in a file of a few lines.

url = "https://models.example/classify"
answer = "results[*].scores"
encoding = "png"

[headers]
Authorization = "Bearer ${MODELS_TOKEN}"

[body]
images = "{{inputs}}"
"""

import base64
import hashlib
import io
import json
import os
import re
import tomllib
import urllib.parse
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.robustness.endpoints.transport import EndpointError

_MOST_BYTES = 1 << 20
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_STEP = re.compile(r"\.?(?:(?P<key>[^.\[\]\"]+)|\[(?P<index>\d+)\]|\[\"(?P<quoted>[^\"]*)\"\]|\[(?P<each>\*)\])")

ALL, ONE = "{{inputs}}", "{{input}}"
"""What stands in a body for the list of all inputs of a request, or for the only one."""

Step = str | int | None
"""A key, an index, or `None` for each element."""


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to send inputs, how to write them, and where the answer is."""

    url: str
    body: Any
    """A JSON value; the text `{{inputs}}` in it becomes a list of inputs, `{{input}}` a single one."""
    answer: str = ""
    """The path to scores or decisions: keys with dots between, `[0]`, `["a key"]`, and `[*]` for each element."""
    encoding: Literal["list", "png"] = "list"
    """Nested lists of numbers, or pictures: PNG in base64, with 8 bits for each channel between the bounds."""
    headers: dict[str, str] = {}
    """`${NAME}` in a value stands for a variable of the environment."""
    names: tuple[str, ...] = ()
    """What the answer calls the classes, in their order, where it does not number them."""
    batch: int = 32
    """Inputs that one request holds at most."""

    def __post_init__(self) -> None:
        places = list(_places(self.body))
        if len(places) != 1:
            raise UsageError(f"the body of a template holds {ALL!r} or {ONE!r} once, and this one {len(places)} times")
        if self.batch < 1:
            raise UsageError("a request holds one input at least")
        steps(self.answer)

    @property
    def single(self) -> bool:
        """Whether a request holds one input only."""
        return list(_places(self.body)) == [ONE]

    def expanded(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """The headers with their variables, and the values of those, which nobody is to see. Raises `UsageError`."""
        secrets: list[str] = []

        def value(found: re.Match[str]) -> str:
            try:
                secrets.append(os.environ[found[1]])
            except KeyError:
                raise UsageError(f"the environment has no variable {found[1]}, which the template asks for") from None
            return secrets[-1]

        headers = {name: _VARIABLE.sub(value, text) for name, text in self.headers.items()}
        return headers, tuple(secrets)


def read(path: str) -> Template:
    """The template in a TOML file, or in a JSON file by the end of its name. Raises `UsageError`."""
    data = contents(path, _MOST_BYTES)
    try:
        document = json.loads(data) if path.endswith(".json") else tomllib.loads(data.decode())
        return msgspec.convert(document, Template)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {str(error).splitlines()[0][:200]}") from None


def steps(path: str) -> tuple[Step, ...]:
    """A path in its parts. Raises `UsageError`."""
    found: list[Step] = []
    place = 1 if path.startswith("$") else 0
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None:
            raise UsageError(f"{path!r} is no path to an answer; write one like results[*].scores")
        if step["index"] is not None:
            found.append(int(step["index"]))
        elif step["each"] is not None:
            found.append(None)
        else:
            found.append(step["key"] if step["key"] is not None else step["quoted"])
        place = step.end()
    return tuple(found)


def at(document: Any, path: tuple[Step, ...]) -> Any:
    """What stands at a path; a list for each `[*]`. Raises `EndpointError` where the document has no such place."""
    for depth, step in enumerate(path):
        if step is None:
            if not isinstance(document, list):
                raise EndpointError(f"the answer has no list {_place(path[:depth])}")
            return [at(element, path[depth + 1 :]) for element in document]
        try:
            if isinstance(step, int) != isinstance(document, list):
                raise KeyError
            document = document[step]
        except (KeyError, IndexError, TypeError):
            raise EndpointError(f"the answer has no {step!r} {_place(path[:depth])}") from None
    return document


def _place(path: tuple[Step, ...]) -> str:
    return "at " + ".".join("[*]" if step is None else str(step) for step in path) if path else "at its top"


def _places(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [place for element in value.values() for place in _places(element)]
    if isinstance(value, list):
        return [place for element in value for place in _places(element)]
    return [value] if value in (ALL, ONE) else []


def filled(body: Any, inputs: list[Any]) -> Any:
    """The body with inputs in their place."""
    if isinstance(body, dict):
        return {key: filled(value, inputs) for key, value in body.items()}
    if isinstance(body, list):
        return [filled(value, inputs) for value in body]
    if body == ALL:
        return inputs
    return inputs[0] if body == ONE else body


class Templated:
    """Requests by a template."""

    def __init__(self, template: Template, low: float, high: float) -> None:
        """`low` and `high` are the bounds of the inputs: black and white of a picture."""
        parts = urllib.parse.urlsplit(template.url)
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.batch: int | None = 1 if template.single else template.batch
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._template = template
        self._low, self._high = low, high
        self._steps = steps(template.answer)

    @property
    def described(self) -> dict[str, str]:
        """See `Wire`. What the variables of the environment hold is no part of it."""
        template = hashlib.sha256(msgspec.json.encode(self._template, order="deterministic")).hexdigest()
        path = self.target.partition("?")[0]
        return {"endpoint": self._origin + path, "model": "", "request": f"template sha256:{template}"}

    def body(self, inputs: NDArray[np.float32]) -> bytes:
        """See `Wire`."""
        if self._template.encoding == "png":
            written: list[Any] = [png(each, self._low, self._high) for each in inputs]
        else:
            written = inputs.tolist()
        return msgspec.json.encode(filled(self._template.body, written))

    def rows(self, document: Any, count: int) -> Any:
        """See `Wire`."""
        found = at(document, self._steps)
        return [found] if self._template.single else found


def png(image: NDArray[np.float32], low: float, high: float) -> str:
    """A picture (channels, height, width) as a PNG file in base64. Raises `UsageError` for what is none."""
    import PIL.Image

    if image.ndim != 3 or image.shape[0] not in (1, 3, 4):
        raise UsageError(f"inputs of shape {image.shape} are no pictures with 1, 3 or 4 channels")
    pixels = ((image - low) / (high - low) * 255).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()
