"""R code as it is stored in R's own files: what it calls, and how it reads."""

from garrison.artifacts.knowledge.languages import higher
from garrison.artifacts.wire.rdata import Node

_NODES = 100_000
_NAMES = 64
_LONGEST = 300
_INFIX = frozenset(["+", "-", "*", "/", "^", "==", "!=", "<", ">", "&&", "||", "~", ":", "<-", "$", "@", "::", "%in%"])


def called_names(roots: list[Node]) -> tuple[str, ...]:
    """Names of the functions that the code calls, or hands to what calls them, in order of appearance."""
    names: dict[str, None] = {}
    pending = list(reversed(roots))
    seen: set[int] = set()
    for _ in range(_NODES):
        if not pending or len(names) >= _NAMES:
            break
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.kind == "call" and node.items:
            _call(node, names)
        elif node.kind == "builtin":
            names[node.text] = None
        elif node.kind == "bytecode":
            names.update(dict.fromkeys(_undeclared(node)))
        if node.kind in ("promise", "closure"):
            pending += reversed(node.items[1:])
        elif node.kind != "environment":
            pending += reversed(node.items)
    return tuple(names)


def _call(node: Node, names: dict[str, None]) -> None:
    head = node.items[0]
    name = function_name(head)
    if name in ("::", ":::"):
        names["::".join(item.text or _string(item) for item in node.items[1:3])] = None
        return
    name = name or _qualified(head)
    if name:
        names[name] = None
    if name.rpartition(":")[2] in higher("r"):
        for argument in node.items[1:]:
            given = argument.text if argument.kind == "symbol" else _string(argument)
            if given and len(given) < 80 and " " not in given:
                names[given] = None


def function_name(head: Node) -> str:
    return head.text if head.kind in ("symbol", "builtin") else ""


def _qualified(head: Node) -> str:
    if head.kind == "call" and len(head.items) == 3 and head.items[0].text in ("::", ":::"):
        return "::".join(item.text or _string(item) for item in head.items[1:])
    return ""


def _string(node: Node) -> str:
    return node.items[0].text if node.kind == "characters" and len(node.items) == 1 else ""


def _undeclared(node: Node) -> list[str]:
    """Symbols of bytecode that the expression it claims to be compiled from does not mention.

    The first constant is that expression; the interpreter runs the instructions, which take their functions from the
    other constants.
    """
    declared: set[str] = set()
    pending = node.items[:1]
    seen: set[int] = set()
    while pending and len(seen) < _NODES:
        inner = pending.pop()
        if id(inner) not in seen:
            seen.add(id(inner))
            declared.update((inner.text, *inner.tags))
            pending += inner.items
    return [item.text for item in node.items[1:] if item.kind in ("symbol", "builtin") and item.text not in declared]


# -------------------------------------------------------------------- text


def deparse(node: Node) -> str:
    """The code about as R would print it, cut short."""
    return _text(node, 0)[:_LONGEST]


def _text(node: Node, depth: int) -> str:
    if depth > 12:
        return "…"
    match node.kind:
        case "symbol" | "builtin":
            return node.text[:80]
        case "special":
            return "" if node.text == "missing" else node.text
        case "characters":
            texts = [f'"{item.text[:120]}"' for item in node.items[:3]]
            return texts[0] if node.size == 1 and texts else f"c({', '.join(texts)}{', …' if node.size > 3 else ''})"
        case "call" if node.items:
            return _call_text(node, depth)
        case "pairlist" | "dots" | "list" | "expression":
            return f"{node.kind}({_arguments(node.items, node.tags, depth)})"
        case "closure":
            return f"function(…) {_text(node.items[2], depth + 1)}"
        case "promise":
            return _text(node.items[2], depth + 1)
        case "bytecode" if node.items:
            return _text(node.items[0], depth + 1)
    return f"<{node.kind}>"


def _call_text(node: Node, depth: int) -> str:
    head = _text(node.items[0], depth + 1)
    arguments = node.items[1:]
    if head == "{":
        return "{ " + "; ".join(_text(item, depth + 1) for item in arguments[:8])[:_LONGEST] + " }"
    if head in _INFIX and len(arguments) == 2:
        space = "" if head in ("::", ":::", "$", "@", ":", "^") else " "
        return f"{_text(arguments[0], depth + 1)}{space}{head}{space}{_text(arguments[1], depth + 1)}"[:_LONGEST]
    return f"{head}({_arguments(arguments, node.tags[1:], depth)})"[:_LONGEST]


def _arguments(items: list[Node], tags: list[str], depth: int) -> str:
    parts = []
    for position, item in enumerate(items[:8]):
        tag = tags[position] if position < len(tags) else ""
        parts.append(f"{tag} = {_text(item, depth + 1)}" if tag else _text(item, depth + 1))
    return ", ".join(parts)
