"""What a Jinja template reaches, from its syntax tree: attributes, items and calls, written out or put together.

The template is parsed by Jinja's own parser and never compiled or rendered. String expressions are folded, so that
`''|attr('__cla' ~ 'ss__')` is seen as `__class__`.
"""

import re
from collections.abc import Iterator

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension, do, loopcontrols
from jinja2.parser import Parser

from garrison.core.facts import Template

_LONGEST = 4 << 20
_FOLDED = 4096
_NAMES = 400
_WORD = re.compile(r"[A-Za-z_]\w{1,80}")
_BLOCK = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


class _Generation(Extension):
    """The `{% generation %}` block of transformers, which marks what the assistant says."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def template(name: str, text: str, excerpt: int = 200) -> Template:
    """The fact about a template."""
    if len(text) > _LONGEST:
        return _unparsed(name, text[:_LONGEST], "longer than what is parsed", excerpt)
    try:
        tree = Environment(extensions=[do, loopcontrols, _Generation]).parse(text)
    except (TemplateError, RecursionError, ValueError, AssertionError) as error:
        return _unparsed(name, text, f"{type(error).__name__}: {error}"[:200], excerpt)
    attributes: dict[str, None] = {}
    calls: dict[str, None] = {}
    try:
        for node in _all(tree):
            if isinstance(node, nodes.Getattr):
                attributes[node.attr] = None
            elif isinstance(node, nodes.Getitem):
                if isinstance(key := _fold(node.arg), str):
                    attributes[key] = None
            elif isinstance(node, nodes.Filter):
                attributes.update(dict.fromkeys(_filtered(node)))
            elif isinstance(node, nodes.Call):
                calls[_path(node.node)] = None
            elif isinstance(node, nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends):
                calls[f"{type(node).__name__.lower()} {_fold(node.template)}"] = None
    except RecursionError:
        return _unparsed(name, text, "nested too deep", excerpt)
    return Template(
        dialect="jinja",
        name=name,
        attributes=tuple(key[:200] for key in list(attributes)[:_NAMES]),
        calls=tuple(call[:200] for call in list(calls)[:_NAMES] if call),
        excerpt=_telling(text, excerpt),
    )


def _unparsed(name: str, text: str, problem: str, excerpt: int) -> Template:
    """What the words inside the blocks are, where the whole does not parse."""
    words = dict.fromkeys(word for block in _BLOCK.findall(text) for word in _WORD.findall(_unescaped(block)))
    return Template(
        dialect="jinja",
        name=name,
        attributes=tuple(list(words)[:_NAMES]),
        problem=problem,
        excerpt=_telling(text, excerpt),
    )


def _unescaped(text: str) -> str:
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text)


def _telling(text: str, length: int) -> str:
    """The part around the first double underscore, else the beginning."""
    place = max(_unescaped(text).find("__") - length // 2, 0)
    return text[place : place + length]


def _all(tree: nodes.Node) -> Iterator[nodes.Node]:
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.iter_child_nodes())


def _filtered(node: nodes.Filter) -> Iterator[str]:
    """Attributes that filters fetch by name: `attr`, and `map`, `selectattr` and their kind."""
    names = [*node.args[:1]] if node.name in ("attr", "selectattr", "rejectattr") else []
    names += [pair.value for pair in node.kwargs if pair.key == "attribute"]
    if node.name == "map" and node.args and _fold(node.args[0]) == "attr":
        names += node.args[1:2]
    for name in names:
        if isinstance(found := _fold(name), str):
            yield from found.split(".")


def _path(node: nodes.Node) -> str:
    parts: list[str] = []
    for _ in range(64):
        if isinstance(node, nodes.Getattr):
            parts.append(node.attr)
            node = node.node
        elif isinstance(node, nodes.Getitem):
            key = _fold(node.arg)
            parts.append(key if isinstance(key, str) else "[]")
            node = node.node
        elif isinstance(node, nodes.Call):
            node = node.node
        elif isinstance(node, nodes.Filter) and node.node is not None:
            key = _fold(node.args[0]) if node.name == "attr" and node.args else None
            parts.append(key if isinstance(key, str) else f"|{node.name}")
            node = node.node
        elif isinstance(node, nodes.Name):
            parts.append(node.name)
            break
        else:
            break
    return ".".join(reversed(parts))


def _fold(node: nodes.Node, depth: int = 0) -> object:
    """The value of an expression that only puts constants together; `None` where it is not constant."""
    if depth > 40:
        return None
    if isinstance(node, nodes.Const):
        return node.value if isinstance(node.value, str | int) else None
    if isinstance(node, nodes.TemplateData):
        return node.data
    if isinstance(node, nodes.List | nodes.Tuple):
        return [_fold(item, depth + 1) for item in node.items[:256]]
    if isinstance(node, nodes.Concat):
        return _joined([_fold(item, depth + 1) for item in node.nodes])
    if isinstance(node, nodes.Add):
        return _joined([_fold(node.left, depth + 1), _fold(node.right, depth + 1)])
    if isinstance(node, nodes.Mod):
        left, right = _fold(node.left, depth + 1), _fold(node.right, depth + 1)
        if isinstance(left, str) and isinstance(right, str | int | list):
            values = right if isinstance(right, list) else [right]
            return _formatted(left, values)
    if isinstance(node, nodes.Filter) and node.node is not None:
        return _fold_filter(node, depth)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        value = _fold(node.node, depth + 1)
        step = _fold(node.arg.step, depth + 1) if node.arg.step is not None else None
        if isinstance(value, str) and step == -1:
            return value[::-1]
    if isinstance(node, nodes.Neg):
        value = _fold(node.node, depth + 1)
        return -value if isinstance(value, int) else None
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
        return _fold_method(node, depth)
    return None


def _joined(parts: list[object]) -> str | None:
    if any(not isinstance(part, str | int) for part in parts):
        return None
    text = "".join(map(str, parts))
    return text if len(text) <= _FOLDED else None


def _formatted(pattern: str, values: list[object]) -> str | None:
    """`%s` and `%c` filled in; wider formats could be made to grow without bound."""
    if re.sub(r"%[scd%]", "", pattern).find("%") >= 0 or len(pattern) > _FOLDED:
        return None
    try:
        return pattern % tuple(str(value) if isinstance(value, str) else value for value in values)
    except (TypeError, ValueError, OverflowError):
        return None


def _fold_filter(node: nodes.Filter, depth: int) -> object:
    value = _fold(node.node, depth + 1) if node.node is not None else None
    arguments = [_fold(argument, depth + 1) for argument in node.args]
    if isinstance(value, list) and node.name == "join":
        separator = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        parts: list[object] = []
        for item in value:
            parts += [separator, item] if parts and separator else [item]
        return _joined(parts)
    if isinstance(value, str):
        if node.name in ("lower", "upper", "trim", "title", "capitalize"):
            return {"trim": value.strip}.get(node.name, getattr(value, node.name, value.strip))()
        if node.name == "reverse":
            return value[::-1]
        if node.name in ("string", "safe", "list", "e", "escape"):
            return value
        if (
            node.name == "replace"
            and len(arguments) >= 2
            and all(isinstance(a, str) for a in arguments[:2])
            and arguments[0]
        ):
            return value.replace(str(arguments[0]), str(arguments[1]))[:_FOLDED]
        if node.name == "format":
            return _formatted(value, arguments)
    return None


def _fold_method(node: nodes.Call, depth: int) -> object:
    if not isinstance(node.node, nodes.Getattr):
        return None
    value = _fold(node.node.node, depth + 1)
    arguments = [_fold(argument, depth + 1) for argument in node.args]
    method = node.node.attr
    if isinstance(value, str):
        if method in ("lower", "upper", "strip", "title", "capitalize") and not arguments:
            return str(getattr(value, method)())
        if method == "replace" and len(arguments) == 2 and all(isinstance(a, str) for a in arguments) and arguments[0]:
            return value.replace(str(arguments[0]), str(arguments[1]))[:_FOLDED]
        if method == "join" and arguments and isinstance(arguments[0], list):
            parts: list[object] = []
            for item in arguments[0]:
                parts += [value, item] if parts else [item]
            return _joined(parts)
        if method == "format" and value.count("{}") == value.count("{"):
            filled = value
            for argument in arguments:
                filled = filled.replace("{}", str(argument), 1)
            return filled
    return None
