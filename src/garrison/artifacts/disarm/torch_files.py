"""PyTorch's checkpoints: the zip of today and the stacked pickles before version 1.6."""

from garrison.artifacts.disarm.contents import Contents
from garrison.artifacts.disarm.rules.table import RULES
from garrison.artifacts.disarm.torch_archive import Archive
from garrison.artifacts.disarm.torch_stack import Stack
from garrison.artifacts.disarm.values import Mapping, Opaque, Value
from garrison.core.errors import NotUnderstood
from garrison.sources.source import Context, Source

_PICKLES = {"data.pkl": "", "constants.pkl": "constants"}


def zipped(source: Source, context: Context) -> Contents:
    """What the archive holds; `constants.pkl` of TorchScript too."""
    archive = Archive(source.reader, context, RULES)
    contents = Contents(framework="pt")
    parts: list[tuple[Value, Value]] = []
    found = False
    for name, prefix in _PICKLES.items():
        if archive.member(name) is None:
            continue
        found = True
        value = archive.value(name, prefix or "data", contents.acts)
        if prefix:
            parts.append((prefix, value))
        else:
            contents.root = value
    if not found:
        raise NotUnderstood("an archive of TorchScript from before version 1.4")
    if parts:
        contents.root = _together(contents.root, parts)
    contents.left += archive.left()
    return contents


def _together(root: Value, parts: list[tuple[Value, Value]]) -> Value:
    """Constants beside the module's own state, if there are any."""
    parts = [(name, value) for name, value in parts if value not in ((), [])]
    if not parts:
        return root
    if isinstance(root, Opaque):
        root.states.append(Mapping(parts))
        return root
    return Mapping([("data", root), *parts])


def stacked(source: Source, context: Context) -> Contents:
    """What the stacked pickles hold."""
    contents = Contents(framework="pt")
    stack = Stack(source.reader, context, RULES, contents.acts)
    contents.root = stack.value()
    contents.left += stack.left()
    return contents
