"""Texts in inputs: personal data, and credentials."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from garrison.serving.calls import Call, Mark
from garrison.serving.screen.folding import folded
from garrison.serving.screen.personal.search import PersonalData

if TYPE_CHECKING:
    from garrison.serving.tensors.tensor import Tensor

_MOST_BYTES = 1 << 20
"""Of the texts of one call; more is not looked at, and is said to be so."""


_INLINE = 16 << 10
"""Bytes that are looked at at once; more take milliseconds, for which all others would wait."""


class PersonalTexts:
    """Looks for personal data."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._search = PersonalData(kinds)
        folded("\xa0")  # makes its table now, and not while a call waits

    def takes_long(self, call: Call) -> bool:
        return _size(call) > _INLINE

    def marks(self, call: Call) -> Iterator[Mark]:
        """What was seen. Nothing of the text itself is in it."""
        seen: set[str] = set()
        for tensor, text in _texts(call):
            written = text.decode("utf-8", "replace")
            for one in dict.fromkeys((written, folded(written))):
                for kind in self._search.find(one):
                    if kind.id not in seen:
                        seen.add(kind.id)
                        yield Mark(rule="personal-data-in-input", message=f"{tensor.name}: {kind.what}")
        if _too_long(call):
            yield Mark(rule="personal-data-in-input", message="more text than is looked at")


class SecretTexts:
    """Looks for credentials, by the shapes that a scan knows."""

    def takes_long(self, call: Call) -> bool:
        return _size(call) > _INLINE

    def marks(self, call: Call) -> Iterator[Mark]:
        """What was seen; of the credential itself only how it begins."""
        from garrison.artifacts.secrets import find

        for tensor, text in _texts(call):
            found = list(find(text, place=tensor.name))
            if not found and not text.isascii():
                found = list(find(folded(text.decode("utf-8", "replace")).encode(), place=tensor.name))
            for secret in found:
                yield Mark(rule="secret-in-input", message=f"{tensor.name}: {secret.what}")
        if _too_long(call):
            yield Mark(rule="secret-in-input", message="more text than is looked at")


def _texts(call: Call) -> "Iterator[tuple[Tensor, bytes]]":
    left = _MOST_BYTES
    for tensor in call.tensors():
        if tensor.datatype == "BYTES":
            for element in tensor.data.flat:
                text = element if isinstance(element, bytes) else str(element).encode()
                left -= len(text)
                if left < 0:
                    return
                yield tensor, text


def _too_long(call: Call) -> bool:
    return _size(call) > _MOST_BYTES


def _size(call: Call) -> int:
    return sum(len(element) for tensor in call.tensors() if tensor.datatype == "BYTES" for element in tensor.data.flat)
