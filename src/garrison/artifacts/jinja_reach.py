"""What a Jinja template reaches, from its syntax tree: attributes, items and calls, written out or put together.

The template is parsed by Jinja's own parser and never compiled or rendered. Its statements are followed in order with
what is known of each value (`jinja_values`), so that `''|attr('__cla' ~ x)` is seen as `__class__` whatever way `x`
came by its `ss__`: through variables, namespaces, loops, macros, filters or formats. Both sides of a condition count.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension, do, loopcontrols
from jinja2.parser import Parser

from garrison.artifacts import jinja_values as values
from garrison.artifacts.jinja_values import ANYTHING, UNKNOWN, Method, Namespace, Options, combined, options
from garrison.core.facts import Template

TOO_DEEP = "nested too deep"
_LONGEST = 4 << 20
_NAMES = 400
_STEPS = 40_000
_MACROS = 6
_COSTLY = 10_000_000
_WORD = re.compile(r"[A-Za-z_]\w{1,80}")
_BLOCK = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_ATTRIBUTE = {"attr": 0, "selectattr": 0, "rejectattr": 0, "groupby": 0, "sum": 0, "join": 1, "min": 1, "max": 1}
_ATTRIBUTE |= {"unique": 1, "sort": 2}
"""Filters that fetch an attribute by name, and which argument names it."""
_GLOBALS = frozenset({"dict", "range"})
_OPERATIONS: dict[type[nodes.Node], Any] = {
    nodes.Add: values.added,
    nodes.Mul: values.multiplied,
    nodes.Pow: values.raised,
    nodes.Sub: lambda left, right: left - right,
    nodes.Div: lambda left, right: left / right,
    nodes.FloorDiv: lambda left, right: left // right,
}


class _Generation(Extension):
    """The `{% generation %}` block of transformers, which marks what the assistant says."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def template(name: str, text: str, excerpt: int = 200) -> Template:
    """The fact about a template."""
    if len(text) > _LONGEST:
        return _unparsed(name, text, f"longer than the {_LONGEST} characters that are parsed", excerpt)
    try:
        tree = Environment(extensions=[do, loopcontrols, _Generation]).parse(text)
    except RecursionError:
        return _unparsed(name, text, TOO_DEEP, excerpt)
    except (TemplateError, ValueError, AssertionError) as error:
        return _unparsed(name, text, f"{type(error).__name__}: {error}"[:200], excerpt)
    reach = _Reach()
    try:
        reach.statements(tree.body)
        reach.rest(tree)
    except RecursionError:
        return _unparsed(name, text, TOO_DEEP, excerpt)
    return Template(
        dialect="jinja",
        name=name,
        attributes=_telling_first(reach.attributes),
        items=_telling_first(reach.items),
        calls=_telling_first(reach.calls),
        paths=_telling_first(reach.paths),
        computed=tuple(reach.computed)[:20],
        costs=tuple(reach.costs)[:20],
        excerpt=_telling(text, excerpt),
    )


def _telling_first(found: dict[str, None]) -> tuple[str, ...]:
    """A few hundred names, those with underscores first, so that padding drives none of them out."""
    ordered = sorted((one for one in found if one), key=lambda one: "__" not in one and not one.startswith("_"))
    return tuple(one[:200] for one in ordered[:_NAMES])


def _unparsed(name: str, text: str, problem: str, excerpt: int) -> Template:
    """What the words inside the blocks are, where the whole does not parse."""
    words = dict.fromkeys(word for block in _BLOCK.findall(text) for word in _WORD.findall(_unescaped(block)))
    return Template(
        dialect="jinja",
        name=name,
        attributes=_telling_first(words),
        problem=problem,
        excerpt=_telling(text, excerpt),
    )


def _unescaped(text: str) -> str:
    return re.sub(r"\\(?:x([0-9a-fA-F]{2})|u00([0-9a-fA-F]{2}))", lambda m: chr(int(m[1] or m[2], 16)), text)


def _telling(text: str, length: int) -> str:
    """The part around the first double underscore, else the beginning."""
    place = max(_unescaped(text[:_LONGEST]).find("__") - length // 2, 0)
    return text[place : place + length]


class _Reach:
    """Follows statements and expressions, and keeps what they reach."""

    def __init__(self) -> None:
        self.attributes: dict[str, None] = {}
        self.items: dict[str, None] = {}
        self.calls: dict[str, None] = {}
        self.paths: dict[str, None] = {}
        self.computed: dict[str, None] = {}
        self.costs: dict[str, None] = {}
        self._names: dict[str, Options] = {}
        self._macros: dict[str, nodes.Macro] = {}
        self._depth = 0
        self._uncertain = 0
        self._steps = 0
        self._rounds = 1
        self._seen: set[int] = set()
        self._last: dict[int, Options] = {}
        """What each expression was when it was last come by."""

    def rest(self, tree: nodes.Node) -> None:
        """Visit what following the statements did not come to: the bodies past the bound on steps."""
        self._depth = _MACROS
        pending = [tree]
        while pending:
            node = pending.pop()
            if isinstance(node, nodes.Expr) and id(node) not in self._seen:
                self._steps = 0
                self.value(node)
            pending.extend(node.iter_child_nodes())

    # Statements.

    def statements(self, body: Sequence[nodes.Node]) -> list[Options]:
        """Follow them in order; what they put out, piece by piece."""
        pieces: list[Options] = []
        for node in body:
            if self._steps > _STEPS:
                return [ANYTHING]
            pieces += self._statement(node)
        return pieces

    def _statement(self, node: nodes.Node) -> list[Options]:
        match node:
            case nodes.Output():
                return [self.value(one) for one in node.nodes]
            case nodes.Assign():
                self._assign(node.target, self.value(node.node))
            case nodes.AssignBlock():
                self._assign(node.target, self._text(self._scoped(node.body)))
                self._filtered(node.filter)
            case nodes.If():
                return self._if(node)
            case nodes.For():
                return self._for(node)
            case nodes.Macro():
                self._macros[node.name] = node
                self._names.pop(node.name, None)
                self._uncertainly(lambda: self._macro(node, [], {}))
            case nodes.CallBlock():
                self._uncertainly(lambda: self._text(self._scoped(node.body)))
                return [self.value(node.call)]
            case nodes.FilterBlock():
                inner = self._text(self._scoped(node.body))
                self._filtered(node.filter)
                return [inner if node.filter is None else ANYTHING]
            case nodes.With():
                return self._with(node)
            case nodes.Block() | nodes.Scope() | nodes.ScopedEvalContextModifier():
                return self._scoped(node.body)
            case nodes.Include() | nodes.Import() | nodes.FromImport() | nodes.Extends():
                named = [str(one) for one in self.value(node.template)]
                self.calls.update(dict.fromkeys(f"{type(node).__name__.lower()} {one}" for one in named))
            case nodes.ExprStmt():
                self.value(node.node)
            case _:
                for child in node.iter_child_nodes():
                    if isinstance(child, nodes.Expr):
                        self.value(child)
                    else:
                        self._statement(child)
        return []

    def _filtered(self, node: nodes.Filter | None) -> None:
        if node is not None:
            self.value(node)

    def _scoped(self, body: Sequence[nodes.Node]) -> list[Options]:
        before = dict(self._names)
        pieces = self.statements(body)
        self._names = before
        return pieces

    def _uncertainly(self, action: Any) -> Any:
        """Follow what may or may not happen: what it sets is one more possibility."""
        self._uncertain += 1
        try:
            return action()
        finally:
            self._uncertain -= 1

    def _if(self, node: nodes.If) -> list[Options]:
        self.value(node.test)
        before = dict(self._names)
        ends = []
        pieces: list[Options] = []
        for body in (node.body, node.elif_, node.else_):
            self._names = dict(before)
            pieces += self._uncertainly(lambda body=body: self.statements(body))
            ends.append(self._names)
        self._names = _merged(ends)
        return [ANYTHING] if pieces else []

    def _for(self, node: nodes.For) -> list[Options]:
        pieces: list[Options] = []
        before = dict(self._names)
        for one in self.value(node.iter):
            try:
                rounds = None if one is UNKNOWN else values.iterated(one)
            except TypeError:
                rounds = None
            outer = self._rounds
            if rounds is None:
                self._rounds *= self._length(node.iter)
                self._cost(node)
                # Twice, since what one round sets the next one reads; once is enough inside such a loop.
                for _ in range(1 if self._names.get("loop") is ANYTHING else 2):
                    pieces += self._round(node, ANYTHING, ANYTHING)
                pieces.append(ANYTHING)
            else:
                self._rounds *= max(len(rounds), 1)
                self._cost(node)
                for index, item in enumerate(rounds):
                    count = {"index0": index, "index": index + 1, "first": not index, "last": index == len(rounds) - 1}
                    count |= {"length": len(rounds), "revindex0": len(rounds) - index - 1}
                    pieces += self._round(node, (item,), (count,))
                    if self._steps > _STEPS:
                        break
            self._rounds = outer
        self._names = before
        pieces += self._scoped(node.else_)
        return pieces

    def _round(self, node: nodes.For, item: Options, loop: Options) -> list[Options]:
        self._names["loop"] = loop
        self._assign(node.target, item)
        if node.test is not None:
            self.value(node.test)
        if loop is ANYTHING:
            return list(self._uncertainly(lambda: self.statements(node.body)))
        return self.statements(node.body)

    def _length(self, node: nodes.Node) -> int:
        """How often a loop over `range(…)` runs, where its arguments are known."""
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "range":
            given = [one[0] for one in (self.value(argument) for argument in node.args) if isinstance(one[0], int)]
            if len(given) == len(node.args) and 1 <= len(given) <= 3:
                try:
                    numbers = range(*given)
                    return max((numbers[-1] - numbers[0]) // numbers.step + 1, 1) if numbers else 1
                except (ValueError, OverflowError):
                    return 1
        return 1

    def _cost(self, node: nodes.Node) -> None:
        if self._rounds >= _COSTLY:
            self.costs[f"line {node.lineno}: loops of {self._rounds} rounds"] = None

    def _with(self, node: nodes.With) -> list[Options]:
        before = dict(self._names)
        given = [self.value(one) for one in node.values]
        for target, value in zip(node.targets, given, strict=False):
            self._assign(target, value)
        pieces = self.statements(node.body)
        self._names = before
        return pieces

    def _assign(self, target: nodes.Node, value: Options) -> None:
        if isinstance(target, nodes.Name):
            self._names[target.name] = value
        elif isinstance(target, nodes.NSRef):
            self.attributes.setdefault(target.attr)
            for owner in self._names.get(target.name, ()):
                if isinstance(owner, Namespace):
                    old = owner.attributes.get(target.attr, ()) if self._uncertain else ()
                    owner.attributes[target.attr] = options([*old, *value])
        elif isinstance(target, nodes.Tuple | nodes.List):
            for index, one in enumerate(target.items):
                self._assign(one, combined(lambda given, index=index: values.iterated(given)[index], value))

    def _text(self, pieces: list[Options]) -> Options:
        if len(pieces) > 256:
            return ANYTHING
        whole: Options = ("",)
        for piece in pieces:
            whole = combined(lambda left, right: values.concatenated([left, right]), whole, piece)
        return whole

    def _macro(self, node: nodes.Macro, given: list[Options], named: dict[str, Options]) -> Options:
        if self._depth >= _MACROS:
            return ANYTHING
        self._depth += 1
        before = dict(self._names)
        defaults = [ANYTHING] * (len(node.args) - len(node.defaults)) + [self.value(one) for one in node.defaults]
        for index, argument in enumerate(node.args):
            value = given[index] if index < len(given) else named.get(argument.name, defaults[index])
            self._names[argument.name] = value
        self._names.setdefault("varargs", ANYTHING)
        if len(given) > len(node.args):
            self._names["varargs"] = combined(lambda *one: list(one), *given[len(node.args) :])
        text = self._text(self.statements(node.body))
        self._names = before
        self._depth -= 1
        return text

    # Expressions.

    def value(self, node: nodes.Node | None) -> Options:
        """What an expression may be; on the way, all that it reaches is kept."""
        if node is None:
            return (None,)
        self._seen.add(id(node))
        self._steps += 1
        if self._steps > _STEPS:
            return ANYTHING
        found = self._last[id(node)] = self._evaluated(node)
        return found

    def _evaluated(self, node: nodes.Node) -> Options:
        match node:
            case nodes.Const():
                return (values.bounded(node.value),)
            case nodes.TemplateData():
                return (values.bounded(node.data),)
            case nodes.Name():
                return self._name(node)
            case nodes.Getattr():
                return self._getattr(node)
            case nodes.Getitem():
                return self._getitem(node)
            case nodes.Filter():
                return self._filter(node)
            case nodes.Call():
                return self._call(node)
            case nodes.List() | nodes.Tuple():
                parts = [self.value(one) for one in node.items]
                return combined(lambda *items: list(items), *parts) if len(parts) <= 128 else ANYTHING
            case nodes.Dict():
                return self._dict(node)
            case nodes.Concat():
                return self._text([self.value(one) for one in node.nodes])
            case nodes.CondExpr():
                self.value(node.test)
                return options([*self.value(node.expr1), *self.value(node.expr2)])
            case nodes.And() | nodes.Or():
                return options([*self.value(node.left), *self.value(node.right)])
            case nodes.Mod():
                return combined(_remainder, self.value(node.left), self.value(node.right))
            case nodes.Neg():
                return combined(lambda one: -one, self.value(node.node))
            case nodes.Add() | nodes.Sub() | nodes.Mul() | nodes.Div() | nodes.FloorDiv() | nodes.Pow():
                return self._arithmetic(node)
        for child in node.iter_child_nodes():
            self.value(child)
        return ANYTHING

    def _name(self, node: nodes.Name) -> Options:
        if node.name in self._names:
            return self._names[node.name]
        if node.name not in self._macros:
            self.paths[node.name] = None
        return (Method(None, node.name),) if node.name in _GLOBALS else ANYTHING

    def _arithmetic(self, node: nodes.BinExpr) -> Options:
        left, right = self.value(node.left), self.value(node.right)
        for first, second in ((left, right), (right, left)):
            sizes = [one for one in second if isinstance(one, int) and one >= _COSTLY]
            if isinstance(node, nodes.Mul) and sizes and any(isinstance(one, str | list) for one in first):
                self.costs[f"line {node.lineno}: text repeated {sizes[0]} times"] = None
        if isinstance(node, nodes.Pow) and any(isinstance(one, int) and one > 10_000 for one in right):
            self.costs[f"line {node.lineno}: a number raised to a huge power"] = None
        elif isinstance(node, nodes.Pow) and right == ANYTHING and isinstance(node.right, nodes.Pow):
            self.costs[f"line {node.lineno}: powers of powers"] = None
        return combined(_OPERATIONS[type(node)], left, right)

    def _dict(self, node: nodes.Dict) -> Options:
        keys = [self.value(one.key) for one in node.items]
        held = [self.value(one.value) for one in node.items]
        if len(keys) > 64:
            return ANYTHING
        plain = [value[0] if len(value) == 1 else UNKNOWN for value in held]
        return combined(lambda *names: dict(zip(names, plain, strict=True)), *keys)

    def _getattr(self, node: nodes.Getattr) -> Options:
        owners = self.value(node.node)
        self.attributes[node.attr] = None
        self._path(node)
        return self._fetched(owners, node.attr)

    def _fetched(self, owners: Options, name: str) -> Options:
        found: list[Any] = []
        for owner in owners:
            if isinstance(owner, Namespace):
                found += owner.attributes.get(name, ANYTHING)
            elif isinstance(owner, dict) and name in owner:
                found.append(owner[name])
            elif isinstance(owner, str | list | dict):
                found.append(Method(owner, name))
            else:
                found.append(UNKNOWN)
        return options(found)

    def _getitem(self, node: nodes.Getitem) -> Options:
        owners = self.value(node.node)
        if isinstance(node.arg, nodes.Slice):
            parts = [self.value(one) for one in (node.arg.start, node.arg.stop, node.arg.step)]
            return combined(lambda owner, *bounds: owner[slice(*bounds)], owners, *parts)
        keys = self.value(node.arg)
        self.items.update(dict.fromkeys(key for key in keys if isinstance(key, str)))
        self._path(node)
        found: list[Any] = []
        for key in keys:
            if isinstance(key, str):
                found += self._fetched(owners, key)
            else:
                found += combined(lambda owner, index: owner[index], owners, (key,))
        return options(found)

    def _arguments(self, node: nodes.Filter | nodes.Call | nodes.Test) -> tuple[list[Options], dict[str, Options]]:
        given = [self.value(one) for one in node.args or ()]
        named = {str(one.key): self.value(one.value) for one in node.kwargs or ()}
        for more in (node.dyn_args, node.dyn_kwargs):
            if more is not None:
                self.value(more)
        return given, named

    def _filter(self, node: nodes.Filter) -> Options:
        value = self.value(node.node) if node.node is not None else ANYTHING
        given, named = self._arguments(node)
        self._attribute_of_filter(node.name, given, named)
        if node.name in ("map", "select", "reject") and given:
            return self._mapped(node.name, value, given, named)
        if node.name == "attr" and given:
            return options([one for name in given[0] for one in self._named(value, name)])
        if node.name in ("default", "d") and given:
            return options([*value, *given[0]])
        if node.name == "random":
            return options(
                [one for held in value if isinstance(held, list | str | dict) for one in values.iterated(held)]
            )
        return self._filtered_value(node.name, value, given, named)

    def _named(self, owners: Options, name: Any) -> Options:
        return self._fetched(owners, name) if isinstance(name, str) else ANYTHING

    def _filtered_value(self, name: str, value: Options, given: list[Options], named: dict[str, Options]) -> Options:
        keys = list(named)

        def apply(one: Any, *rest: Any) -> Any:
            return values.filter_value(
                name, one, list(rest[: len(given)]), dict(zip(keys, rest[len(given) :], strict=True))
            )

        return combined(apply, value, *given, *named.values())

    def _attribute_of_filter(self, name: str, given: list[Options], named: dict[str, Options]) -> None:
        place = _ATTRIBUTE.get(name)
        wanted = named.get("attribute", ())
        if place is not None and len(given) > place:
            wanted = (*wanted, *given[place])
        for one in wanted:
            if isinstance(one, str):
                self.attributes.update(dict.fromkeys([one] if name == "attr" else one.split(".")))
            elif one is UNKNOWN:
                self.computed[f"|{name} with a name that is put together on the way"] = None

    def _mapped(self, name: str, value: Options, given: list[Options], named: dict[str, Options]) -> Options:
        """`map('attr', name)` and its kind: the first argument names another filter."""
        results: list[Any] = []
        for inner in given[0]:
            if not isinstance(inner, str):
                self.computed[f"|{name} with a filter that is put together on the way"] = None
                continue
            self._attribute_of_filter(inner, given[1:], named)
            for held in value if name == "map" else ():
                try:
                    items = [self._filtered_value(inner, (one,), given[1:], named) for one in values.iterated(held)]
                except TypeError:
                    results.append(UNKNOWN)
                    continue
                results.append([one[0] if len(one) == 1 else UNKNOWN for one in items])
        return options(results)

    def _call(self, node: nodes.Call) -> Options:
        callee = node.node
        if isinstance(callee, nodes.Name) and callee.name in self._macros and callee.name not in self._names:
            self._seen.add(id(callee))
            given, named = self._arguments(node)
            return self._macro(self._macros[callee.name], given, named)
        functions = self.value(callee)
        given, named = self._arguments(node)
        for path in self._paths(callee):
            self.calls[path] = None
        self._called_by_computed_name(callee)
        if isinstance(callee, nodes.Name) and callee.name == "namespace":
            return (Namespace(dict(named)),)
        results: list[Any] = []
        for function in functions:
            results += self._returned(function, given, named) if isinstance(function, Method) else ANYTHING
        return options(results)

    def _returned(self, function: Method, given: list[Options], named: dict[str, Options]) -> Options:
        if function.name in ("format", "format_map") and isinstance(function.owner, str):
            self.attributes.update(dict.fromkeys(values.format_reaches(function.owner)))
        keys = list(named)

        def apply(*rest: Any) -> Any:
            arguments = dict(zip(keys, rest[len(given) :], strict=True))
            return values.method_value(function.owner, function.name, list(rest[: len(given)]), arguments)

        return combined(apply, *given, *named.values())

    def _called_by_computed_name(self, callee: nodes.Node) -> None:
        """Honest templates call by names that are written out; nothing in them calls an item or `|attr`."""
        if isinstance(callee, nodes.Getitem) and not isinstance(callee.arg, nodes.Const | nodes.Slice):
            if any(key is UNKNOWN for key in self._last.get(id(callee.arg), ANYTHING)):
                self.computed["a call of an item whose name is put together on the way"] = None
        elif isinstance(callee, nodes.Filter) and callee.name == "attr" and not callee.args:
            self.computed["a call of |attr without a name"] = None

    def _path(self, node: nodes.Node) -> None:
        for path in self._paths(node):
            if path and not path.startswith("|"):
                self.paths[path] = None

    def _paths(self, node: nodes.Node) -> Iterator[str]:
        """Dotted names from a root to what is reached; one for each thing that a computed part may be."""
        parts: list[list[str]] = []
        for _ in range(64):
            if isinstance(node, nodes.Getattr):
                parts.append([node.attr])
                node = node.node
            elif isinstance(node, nodes.Getitem):
                keys = self._last.get(id(node.arg), ())
                parts.append([key for key in keys if isinstance(key, str)][:4] or ["[]"])
                node = node.node
            elif isinstance(node, nodes.Call):
                node = node.node
            elif isinstance(node, nodes.Filter) and node.node is not None:
                keys = self._last.get(id(node.args[0]), ()) if node.name == "attr" and node.args else ()
                parts.append([key for key in keys if isinstance(key, str)][:4] or [f"|{node.name}"])
                node = node.node
            else:
                break
        if isinstance(node, nodes.Name):
            if node.name in self._names and parts and node.name != "self":
                parts.append([f"({node.name})"])
            else:
                parts.append([node.name])
        yield ".".join(part[0] for part in reversed(parts))
        for index, part in enumerate(parts):
            for other in part[1:]:
                yield ".".join(one[0] if one is not part else other for one in reversed(parts[: index + 1]))


def _merged(ends: list[dict[str, Options]]) -> dict[str, Options]:
    """What each name may be after either of several ways."""
    merged: dict[str, Options] = {}
    for name in dict.fromkeys(name for end in ends for name in end):
        merged[name] = options([one for end in ends for one in end.get(name, ANYTHING)])
    return merged


def _remainder(left: Any, right: Any) -> Any:
    if isinstance(left, str):
        return values.formatted(left, right if isinstance(right, list) else [right])
    return left % right
