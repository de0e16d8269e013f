"""What calls inside a pickle amount to: attributes fetched, functions bound and passed on, code assembled.

Nothing is executed: values are followed as symbols through the handful of callables that `callables.json` names, so
that `getattr(import_module('os'), 'system')` is seen as `os.system`.
"""

import builtins
import re
from typing import TYPE_CHECKING

from garrison.artifacts.pickle import arrays
from garrison.artifacts.pickle.literals import span
from garrison.artifacts.pickle.nested import Undecodable, decode
from garrison.artifacts.pickle.source_code import bytecode_names, code_names, source_names
from garrison.artifacts.pickle.symbols import UNKNOWN, Record, Symbol
from garrison.core.facts import EmbeddedCode, Reference

if TYPE_CHECKING:
    from garrison.artifacts.pickle.ledger import Ledger
    from garrison.artifacts.pickle.machine import Machine

_ARGUMENT = 1000
_ARGUMENTS = 16
_DEPTH = 4
_CODE = 1 << 18
_PICKLE_MODULES = frozenset(
    {"pickle", "_pickle", "cPickle", "dill", "dill._dill", "cloudpickle", "cloudpickle.cloudpickle"}
)
_TENSORS = frozenset(
    {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter", "_rebuild_qtensor"}
    | {"_rebuild_sparse_tensor", "_rebuild_meta_tensor_no_storage", "_rebuild_from_type_v2", "FloatTensor", "Tensor"}
)
"""Callables of torch that return tensors."""
_HOOK = re.compile(r"__\w+__").fullmatch

Items = tuple[int, ...] | None


def shown(machine: "Machine", items: Items) -> tuple[str, ...] | None:
    """Arguments as Python would show them, `…` for what is no literal."""
    if items is None:
        return None
    found = [show(machine, value) for value in items[:_ARGUMENTS]]
    if len(items) > _ARGUMENTS:
        found.append("…")
    return tuple(found)


def show(machine: "Machine", value: int, depth: int = 0) -> str:
    """One value as Python would show it."""
    if value >= 0:
        found = machine.literal(value, _ARGUMENT)
        return "…" if found is ... else repr(found)
    symbol = machine.symbol(value)
    if symbol is not None:
        return _show_symbol(symbol)
    items = machine.items(value)
    if items is None or depth >= _DEPTH or len(items) > _ARGUMENTS * 2:
        return "…"
    texts = [show(machine, item, depth + 1) for item in items]
    kind = machine.kind(value)
    if kind == 0:
        return f"[{', '.join(texts)}]"
    if kind == 1:
        pairs = zip(texts[::2], texts[1::2], strict=False)
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
    if kind == 2:
        return "{" + ", ".join(texts) + "}" if texts else "set()"
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def _show_symbol(symbol: Symbol) -> str:
    if symbol.content is not None:
        return repr(symbol.content[:_ARGUMENT])
    if symbol.kind == "global" and symbol.record is not None:
        return f"{symbol.record.module}.{symbol.record.name}"
    if symbol.kind == "module":
        return symbol.name
    return "…"


# -------------------------------------------------------------------- calls


def call(ledger: "Ledger", machine: "Machine", function: int, symbol: Symbol, arguments: int) -> int:
    """Follow a call of `symbol`; returns the value of its result."""
    items = machine.items(arguments)
    return apply(ledger, machine, function, symbol, items, 0)


def apply(ledger: "Ledger", machine: "Machine", function: int, symbol: Symbol, items: Items, depth: int) -> int:
    if depth > _DEPTH * 4:
        return UNKNOWN
    if symbol.record is not None:
        ledger.use(machine, symbol.record, "call" if symbol.kind == "global" else "method", items)
    match symbol.kind:
        case "global":
            if symbol.semantics:
                return _known(ledger, machine, function, symbol, items, depth)
        case "partial":
            bound = symbol.arguments
            inner = machine.symbol(symbol.value)
            if inner is not None:
                together = None if bound is None or items is None else bound + items
                return apply(ledger, machine, symbol.value, inner, together, depth + 1)
        case "attrgetter" if items:
            return attribute(ledger, machine, items[0], symbol.name)
        case "itemgetter" if items:
            return _item(ledger, machine, items[0], symbol.value)
        case "methodcaller" if items:
            found = attribute(ledger, machine, items[0], symbol.name)
            method = machine.symbol(found)
            if method is not None:
                return apply(ledger, machine, found, method, symbol.arguments, depth + 1)
            return UNKNOWN
        case "method":
            return _method(ledger, machine, function, symbol, items)
        case "function" if symbol.record is None:
            return UNKNOWN
    return ledger.result(function, symbol.record)


def _known(ledger: "Ledger", machine: "Machine", function: int, symbol: Symbol, items: Items, depth: int) -> int:
    record = symbol.record
    assert record is not None
    first = items[0] if items else UNKNOWN
    match symbol.semantics:
        case "attribute" if items and len(items) >= 2:
            name = machine.literal(items[1])
            if type(name) is str:
                return attribute(ledger, machine, first, name)
        case "attrgetter" | "methodcaller" if items:
            name = machine.literal(first)
            if type(name) is str:
                return ledger.new(Symbol(symbol.semantics, record, name=name, arguments=items[1:]))
        case "itemgetter" if items:
            return ledger.new(Symbol("itemgetter", record, value=first))
        case "item" if items and len(items) >= 2:
            return _item(ledger, machine, first, items[1])
        case "partial" if items:
            return ledger.new(Symbol("partial", record, value=first, arguments=items[1:]))
        case "import":
            name = machine.literal(first)
            if type(name) is str:
                return _module(ledger, machine, name)
        case "resolve":
            name = machine.literal(first)
            if type(name) is str:
                return _resolve(ledger, machine, name)
        case "type":
            name = machine.literal(first)
            if type(name) is str:
                # dill's names are those of the builtins and of `types`, cloudpickle's of `types` alone.
                built_in = record.module.startswith("dill") and hasattr(builtins, name)
                return ledger.resolve("builtins" if built_in else "types", name, machine.place)
        case "namespace":
            owner = machine.symbol(first)
            return ledger.new(Symbol("namespace", record, owner=owner))
        case "apply":
            return _pass_on(ledger, machine, items, depth, each=False)
        case "apply-each":
            return _pass_on(ledger, machine, items, depth, each=True)
        case "source":
            text = next((value for value in (items or ())[:4] if _text(machine, value) is not None), UNKNOWN)
            _source(ledger, machine, text, f"argument of {record.name}")
        case "bytecode":
            return _bytecode(ledger, machine, first)
        case "code":
            return _code(ledger, machine, items)
        case "class":
            return _class(ledger, machine, record, items, depth)
        case "function":
            return ledger.new(Symbol("function", record))
        case "unpickle":
            _nested(ledger, machine, first, loaded=record.module in _PICKLE_MODULES)
        case "decode":
            return _decoded(ledger, machine, record.name, items)
        case "join" if items:
            return _joined(ledger, machine, record.name, items)
        case "add-extension" if items and len(items) >= 3:
            names = [machine.literal(value) for value in items[:3]]
            if type(names[0]) is str and type(names[1]) is str and type(names[2]) is int:
                ledger.extensions[names[2]] = ledger.resolve(names[0], names[1], machine.place)
        case "dtype":
            spec = machine.literal(first)
            return ledger.new(Symbol("dtype", record, name=spec if type(spec) is str else "", value=first))
        case "array-wrapper" | "file-wrapper":
            return ledger.new(Symbol(symbol.semantics, record))
    return ledger.result(function, record)


def attribute(ledger: "Ledger", machine: "Machine", owner: int, name: str) -> int:
    """What `owner.name` is; a dotted name reaches through several."""
    value = owner
    for part in name.split("."):
        symbol = machine.symbol(value)
        if symbol is None:
            text = machine.literal(value)
            if type(text) in (str, bytes):
                value = ledger.new(Symbol("method", None, name=part, value=value))
                continue
            return UNKNOWN
        if symbol.kind == "module":
            value = ledger.resolve(symbol.name, part, machine.place)
        elif symbol.record is not None and _has_members(symbol):
            value = ledger.resolve(symbol.record.module, f"{symbol.record.name}.{part}", machine.place)
        else:
            value = ledger.new(Symbol("method", symbol.record, name=part, value=value, owner=symbol))
    return value


def _has_members(symbol: Symbol) -> bool:
    """Whether an attribute of it is one of the global's own: of the global itself, or of an instance of a class."""
    name = symbol.record.name if symbol.record is not None else ""
    is_class = name.rpartition(".")[2].lstrip("_")[:1].isupper()
    return symbol.kind == "global" or (symbol.kind == "result" and is_class)


def _item(ledger: "Ledger", machine: "Machine", owner: int, key: int) -> int:
    symbol = machine.symbol(owner)
    name = machine.literal(key)
    if symbol is None:
        items = machine.items(owner)
        if items and type(name) is int and 0 <= name < len(items) and machine.kind(owner) in (0, 3):
            return items[name]
        return UNKNOWN
    if type(name) is not str:
        return ledger.new(Symbol("result", symbol.record))
    if symbol.kind == "namespace":
        inner = symbol.owner
        if inner is not None and inner.kind == "module":
            return ledger.resolve(inner.name, name, machine.place)
        return ledger.resolve("builtins", name, machine.place)
    if symbol.kind == "global" and symbol.record is not None:
        whole = f"{symbol.record.module}.{symbol.record.name}"
        if whole.endswith("sys.modules"):
            return _module(ledger, machine, name)
        last = symbol.record.name.rpartition(".")
        if last[2] in ("__dict__", "__builtins__", "__globals__"):
            if last[2] == "__builtins__":
                return ledger.resolve("builtins", name, machine.place)
            if last[2] == "__globals__" or not last[0]:
                return ledger.resolve(symbol.record.module, name, machine.place)
            return ledger.resolve(symbol.record.module, f"{last[0]}.{name}", machine.place)
        return ledger.resolve(symbol.record.module, f"{symbol.record.name}.{name}", machine.place)
    return ledger.new(Symbol("result", symbol.record))


def _module(ledger: "Ledger", machine: "Machine", name: str) -> int:
    value = ledger.resolve(name, "", machine.place)
    symbol = machine.symbol(value)
    if symbol is not None:
        symbol.kind = "module"
        symbol.name = name
    return value


def _resolve(ledger: "Ledger", machine: "Machine", name: str) -> int:
    module, colon, rest = name.partition(":")
    if not colon:
        module, _, rest = name.rpartition(".")
    if not module:
        return _module(ledger, machine, rest or name)
    return ledger.resolve(module, rest, machine.place) if rest else _module(ledger, machine, module)


def _pass_on(ledger: "Ledger", machine: "Machine", items: Items, depth: int, *, each: bool) -> int:
    """A callable among the arguments is called with the arguments behind it."""
    result = UNKNOWN
    for position, value in enumerate((items or ())[:_ARGUMENTS]):
        symbol = machine.symbol(value)
        if symbol is None or symbol.kind not in ("global", "partial", "method", "attrgetter", "methodcaller"):
            continue
        behind = (items or ())[position + 1 :]
        if each:
            inner = machine.items(behind[0]) if behind else None
            for one in (inner or (UNKNOWN,))[:_ARGUMENTS]:
                spread = machine.items(one)
                result = apply(ledger, machine, value, symbol, spread if spread else (one,), depth + 1)
        else:
            result = apply(ledger, machine, value, symbol, behind, depth + 1)
    return result


def _method(ledger: "Ledger", machine: "Machine", function: int, symbol: Symbol, items: Items) -> int:
    owner = machine.literal(symbol.value)
    if type(owner) in (str, bytes):
        if symbol.name == "join" and items:
            return _joined(ledger, machine, "join", (symbol.value, *items))
        if symbol.name in ("decode", "encode"):
            return _decoded(ledger, machine, symbol.name, (symbol.value, *(items or ())))
    return ledger.result(function, symbol.record)


# -------------------------------------------------------------------- code and data


def _text(machine: "Machine", value: int) -> "str | bytes | None":
    found = machine.literal(value, _CODE)
    return found if isinstance(found, str | bytes) else None


def _source(ledger: "Ledger", machine: "Machine", value: int, form: str) -> None:
    text = _text(machine, value)
    if text is None:
        return
    source = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    names = source_names(source)
    ledger.state(
        EmbeddedCode(
            language="python",
            form=form,
            trigger="load",
            names=names or (),
            excerpt=source[:2000],
            place=f"@ {machine.place:#x}",
        )
    )


def _bytecode(ledger: "Ledger", machine: "Machine", value: int) -> int:
    text = _text(machine, value)
    data = text if isinstance(text, bytes) else b""
    ledger.state(
        EmbeddedCode(
            language="python-bytecode",
            form="marshal",
            trigger="load",
            names=bytecode_names(data),
            place=f"@ {machine.place:#x}",
        )
    )
    return ledger.new(Symbol("code", None))


def _code(ledger: "Ledger", machine: "Machine", items: Items) -> int:
    """What a pickled code object refers to: constants, names and variables are the first three of its tuples."""
    tuples = []
    for value in items or ():
        inner = machine.items(value)
        if inner is not None:
            found = [machine.literal(item, 200) for item in inner]
            tuples.append([text for text in found if isinstance(text, str) and text])
    if len(tuples) >= 3:
        names = code_names([(tuples[1], tuples[0])])
    else:  # written by something else: all that it holds
        names = code_names([([text for texts in tuples for text in texts], [])])
    ledger.state(
        EmbeddedCode(
            language="python-bytecode",
            form="pickled code object",
            trigger="use",
            names=names,
            place=f"@ {machine.place:#x}",
        )
    )
    return ledger.new(Symbol("code", None))


def _class(ledger: "Ledger", machine: "Machine", record: Record, items: Items, depth: int) -> int:
    """A class that its first argument makes: a metaclass as a rule, but anything that can be called."""
    first = items[0] if items else UNKNOWN
    symbol = machine.symbol(first)
    if symbol is not None and symbol.kind in ("function", "partial", "method"):
        return apply(ledger, machine, first, symbol, (items or ())[1:], depth + 1)
    namespace = _entries(machine, items[3]) if items and len(items) > 3 else {}
    return ledger.new(Symbol("class", record, name="__new__" if "__new__" in namespace else ""))


def _nested(ledger: "Ledger", machine: "Machine", value: int, *, loaded: bool) -> None:
    if value >= 0:
        where = span(machine.pread, value)
        if where is not None:
            ledger.add_nested(f"literal@{value:#x}", machine.reader.window(*where), loaded=loaded)
            return
    text = _text(machine, value)
    if isinstance(text, bytes):
        ledger.add_nested(f"decoded@{machine.place:#x}", text, loaded=loaded)


def _decoded(ledger: "Ledger", machine: "Machine", name: str, items: Items) -> int:
    """Fold a call that only decodes or decompresses, so that what comes out can be looked at."""
    if items:
        text = _text(machine, items[0])
        option = machine.literal(items[1]) if len(items) > 1 else None
        if text is not None:
            try:
                content = decode(name, text, option if isinstance(option, str) else "")
            except Undecodable:
                return ledger.new(Symbol("text", None))
            return ledger.new(Symbol("text", None, content=content))
    return ledger.new(Symbol("text", None))


def _joined(ledger: "Ledger", machine: "Machine", name: str, items: tuple[int, ...]) -> int:
    parts: list[object] = []
    separator: object = ""
    if name.endswith("join"):
        separator = machine.literal(items[0])
        inner = machine.items(items[1]) if len(items) > 1 else None
        parts = [machine.literal(value) for value in inner] if inner is not None else [...]
    else:
        parts = [machine.literal(value) for value in items]
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts) and isinstance(separator, str) and sum(map(len, texts)) < _CODE:
        return ledger.new(Symbol("text", None, content=separator.join(texts)))
    return ledger.new(Symbol("text", None))


# -------------------------------------------------------------------- state


def build(ledger: "Ledger", machine: "Machine", symbol: Symbol, target: int, state: int, behind: int) -> int:
    """BUILD on something that came from a global."""
    items = machine.items(state)
    match symbol.kind:
        case "array-wrapper":
            return arrays.end_of_array(ledger, machine, state, behind) if ledger.follow_arrays else 0
        case "file-wrapper":
            name = _entries(machine, state).get("filename", UNKNOWN)
            text = machine.literal(name)
            if isinstance(text, str):
                place = f"@ {machine.place:#x}"
                ledger.state(Reference(target=text, role="external-data", place=place, detail="an array of joblib's"))
            return 0
        case "dtype":
            symbol.arguments = items
            return 0
        case "partial" if items:
            inner = machine.items(items[1]) if len(items) > 1 else None
            symbol.value = items[0]
            symbol.arguments = inner
            return 0
    if symbol.record is None:
        return 0
    if not items and items is not None:
        symbol.record.use("mutate" if symbol.kind in ("global", "module") else "state", None, machine.place)
        return 0
    if symbol.kind in ("global", "module"):
        ledger.use(machine, symbol.record, "mutate", (state,))
    elif symbol.record.wants_arguments():
        ledger.use(machine, symbol.record, "state", None)
    else:
        symbol.record.use("state", None, machine.place)
    _hooks(ledger, machine, symbol, machine.items(state), state)
    return 0


def alter(ledger: "Ledger", machine: "Machine", symbol: Symbol, items: tuple[int, ...]) -> None:
    """Items set on something that is no plain container: its own methods run."""
    if symbol.record is None:
        return
    changes = symbol.kind in ("global", "module", "namespace")
    if symbol.kind == "result" and symbol.record.module.startswith("torch.") and symbol.record.name in _TENSORS:
        ledger.anomaly("pickle-tensor-assignment", "sets items of a tensor while it is loaded", machine.place)
    ledger.use(machine, symbol.record, "mutate" if changes else "state", items[:4] if changes else None)
    if changes:
        _hooks(ledger, machine, symbol, items, UNKNOWN)


def _entries(machine: "Machine", value: int) -> dict[object, int]:
    """A dictionary's entries by literal key, as far as they are known."""
    items = machine.items(value) or ()
    return {machine.literal(key): item for key, item in zip(items[::2], items[1::2], strict=False)}


def _hooks(ledger: "Ledger", machine: "Machine", symbol: Symbol, items: Items, state: int) -> None:
    """Functions stored where Python calls them by itself, or where others will, are taken as called."""
    record = symbol.record
    assert record is not None
    changes = symbol.kind in ("global", "module", "namespace")
    flat = list(items or ())
    if machine.kind(state) == 3:
        flat = [inner for item in flat[:2] for inner in machine.items(item) or ()]
    if changes and (flat or machine.items(state) is None):
        ledger.anomaly(
            "pickle-overrides-behaviour", f"alters {record.module}.{record.name} itself, not an object", machine.place
        )
    for key, value in zip(flat[::2], flat[1::2], strict=False):
        held = machine.symbol(value)
        if held is None or held.record is None or held.kind == "result" or key < 0:
            continue
        name = machine.literal(key)
        special = isinstance(name, str) and _HOOK(name) is not None and name not in _ORDINARY
        if special or (changes and held.kind != "module"):
            ledger.use(machine, held.record, "call", None)
        if special and not changes:
            ledger.anomaly(
                "pickle-overrides-behaviour",
                f"stores {held.record.module}.{held.record.name} as {name} of an object of "
                f"{record.module}.{record.name}",
                machine.place,
            )


_ORDINARY = frozenset({"__module__", "__doc__", "__dict__", "__class__", "__orig_class__", "__wrapped__", "__origin__"})
