"""What the streams of one subject were seen to do, gathered while machines run and stated as facts at the end."""

import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from garrison.artifacts.pickle import calls
from garrison.artifacts.pickle.symbols import SYMBOLS, UNKNOWN, Broken, Record, Symbol, Usage
from garrison.core.errors import LimitExceeded
from garrison.core.facts import Anomaly, AnyFact, EmbeddedCode, Reference

if TYPE_CHECKING:
    from garrison.artifacts.pickle.machine import Machine
    from garrison.sources.reader import Reader

_MOST_GLOBALS = 100_000
_MOST_SYMBOLS = 300_000
_FLOOD = 5_000
_MOST_NESTED = 256
_MOST_STACKED = 100_000
_MOST_SAID = 8
_MOST_FOLLOWED = 50_000


@functools.cache
def semantics() -> dict[str, str]:
    """What the callables do whose results the machine follows, by dotted name."""
    with open(os.path.join(os.path.dirname(__file__), "callables.json"), "rb") as file:
        table = msgspec.json.decode(file.read(), type=dict[str, list[str]])
    return {name: kind for kind, names in table.items() for name in names}


class Nested:
    """Bytes inside the subject that are unpickled, or look as if they will be."""

    __slots__ = ("data", "loaded", "name")

    def __init__(self, name: str, data: "bytes | Reader", *, loaded: bool) -> None:
        self.name = name
        self.data = data
        self.loaded = loaded


class Ledger:
    """Globals, calls, embedded code and anomalies, each with the first place where it was seen."""

    def __init__(self, *, follow_arrays: bool = True, acts: bool = False) -> None:
        self.records: dict[tuple[str, str], Record] = {}
        self.symbols: list[Symbol] = []
        self.extensions: dict[int, int] = {}
        self.stated: dict[AnyFact, None] = {}
        self.nested: dict[str, Nested] = {}
        self.overfull = False
        """Whether more is nested than was kept."""
        self.arrays: set[int] = set()
        """Where pickles begin that are arrays in the stream itself, and were followed to their STOP."""
        self.storages: dict[str | int, str] = {}
        """The names of PyTorch's storage types, by storage key."""
        self.protocol = 0
        self.persistent = 0
        self.resolved = 0
        """How often a global was resolved."""
        self.called = 0
        self.follow_arrays = follow_arrays
        self.stop_at_act = acts
        """Raise `Acted` as soon as something is called."""
        self._values: dict[tuple[str, str], int] = {}
        self._results: dict[int, int] = {}
        self._said: dict[str, int] = {}
        self._followed = 0
        self.settled: dict[int, tuple[list[int], int]] = {}
        """Globals that were called so often that their calls are only counted: the count, and what they return."""

    # ---------------------------------------------------------------- globals

    def resolve(self, module: str, name: str, place: int) -> int:
        """The unpickler looks a global up."""
        key = (module, name)
        self.resolved += 1
        value = self._values.get(key)
        if value is None:
            if len(self.records) >= _MOST_GLOBALS:
                raise LimitExceeded("facts", f"resolves more than {_MOST_GLOBALS} different globals")
            record = self.records.setdefault(key, Record(module, name, place))
            kind = semantics().get(f"{module}.{name}", "") or _by_last_name(name)
            value = self._values[key] = self.new(Symbol("global", record, semantics=kind))
        else:
            record = self.records[key]
        record.count += 1
        return value

    def resolve_stack(self, machine: "Machine", module: int, name: int, place: int) -> int:
        """STACK_GLOBAL: both names come from the stack."""
        known = machine.stacked.get((module, name))
        if known is not None:
            record = self.symbols[SYMBOLS - known].record
            if record is not None:
                record.count += 1
            return known
        names = [machine.literal(value) for value in (module, name)]
        if all(type(text) is str for text in names):
            if module >= 0 and name >= 0 and len(machine.stacked) < _MOST_STACKED:
                machine.stacked[module, name] = value = self._resolve_spelt(machine, module, name, names, place)
                return value
            if module < 0 or name < 0:
                self.anomaly("pickle-computed-name", "assembles the name of an import while it is loaded", place)
            return self._resolve_spelt(machine, module, name, names, place)
        for value, text in zip((module, name), names, strict=True):
            if value < 0 and machine.is_container(value):
                raise Broken("resolves a global whose name is no text")
            if value >= 0 and text is not ... and type(text) is not str:
                raise Broken("resolves a global whose name is no text")
        self.anomaly("pickle-computed-name", "assembles the name of an import while it is loaded", place)
        known_names = [text if isinstance(text, str) else "…" for text in names]
        return self.resolve(known_names[0], known_names[1], place)

    def _resolve_spelt(self, machine: "Machine", module: int, name: int, names: list[object], place: int) -> int:
        for other_module in machine.spellings(module):
            for other_name in machine.spellings(name):
                self.resolve(other_module, other_name, place)
        return self.resolve(str(names[0]), str(names[1]), place)

    def forget(self, key: tuple[str, str]) -> None:
        """Take a global back that turned out to be noise."""
        self.records.pop(key, None)
        self._values.pop(key, None)

    def extension(self, code: int, place: int) -> int:
        """EXT1, EXT2, EXT4: a global by its number in the registry of the process that loads."""
        known = self.extensions.get(code)
        if known is not None:
            return known
        self.anomaly(
            "pickle-extension-code",
            f"resolves extension code {code}, whose meaning only the loading process knows",
            place,
        )
        return self.resolve("copyreg", f"extension code {code}", place)

    # ---------------------------------------------------------------- symbols

    def new(self, symbol: Symbol) -> int:
        """A value for a symbol."""
        if len(self.symbols) >= _MOST_SYMBOLS:
            return UNKNOWN
        self.symbols.append(symbol)
        return SYMBOLS - len(self.symbols) + 1

    def result(self, function: int, record: Record | None) -> int:
        """What a call of `function` returns, if nothing more is known of it."""
        value = self._results.get(function)
        if value is None:
            value = self._results[function] = self.new(Symbol("result", record))
        return value

    # ---------------------------------------------------------------- acts

    def make(self, machine: "Machine", function: int, arguments: int) -> int:
        """NEWOBJ: the stream makes an instance of a class, without its `__init__`."""
        symbol = machine.symbol(function)
        if symbol is None or symbol.kind != "class" or symbol.name or symbol.record is None or self.stop_at_act:
            return self.call(machine, function, arguments)
        # A class that the stream built of code: nothing of that code runs, unless it has a `__new__`.
        self.called += 1
        self.use(machine, symbol.record, "state", None)
        return self.result(function, symbol.record)

    def call(self, machine: "Machine", function: int, arguments: int, keywords: int = 0) -> int:
        """The stream calls something."""
        symbol = machine.symbol(function)
        if symbol is None:
            return UNKNOWN
        self.called += 1
        if self.stop_at_act:
            raise Acted
        if symbol.kind == "global" and not symbol.semantics:
            record = symbol.record
            result = self.result(function, record)
            if record is not None:
                wanted = record.wants_arguments()
                counter = record.use("call", self._shown(machine, record, arguments), machine.place)
                if not wanted:
                    self.settled[function] = (counter, result)
            return result
        self._followed += 1
        if self._followed > _MOST_FOLLOWED or (symbol.semantics == "decode" and not _wanted(symbol)):
            # What so many calls return is no longer told apart; that they were made is.
            if symbol.semantics != "decode":
                self.anomaly(
                    "pickle-call-flood",
                    f"makes more than {_MOST_FOLLOWED:,} calls of functions on functions",
                    machine.place,
                )
            if symbol.record is not None:
                usage: Usage = "call" if symbol.kind == "global" else "method"
                self.settled[function] = (symbol.record.use(usage, None, machine.place), UNKNOWN)
            return UNKNOWN
        return calls.call(self, machine, function, symbol, arguments)

    def _shown(self, machine: "Machine", record: Record, arguments: int) -> tuple[str, ...] | None:
        return calls.shown(machine, machine.items(arguments)) if record.wants_arguments() else None

    def use(self, machine: "Machine", record: Record, usage: Usage, items: tuple[int, ...] | None) -> None:
        shown = calls.shown(machine, items) if record.wants_arguments() else None
        record.use(usage, shown, machine.place)

    def build(self, machine: "Machine", target: int, state: int, behind: int) -> int:
        """BUILD: sets state. Returns where the stream goes on if an array stands at `behind`, else 0."""
        symbol = machine.symbol(target)
        if symbol is None:
            return 0
        if self.stop_at_act:
            raise Acted
        return calls.build(self, machine, symbol, target, state, behind)

    def set_items(self, machine: "Machine", symbol: Symbol, items: tuple[int, ...]) -> None:
        """SETITEM and SETITEMS on what is no plain dictionary."""
        calls.alter(self, machine, symbol, items)

    def add_items(self, machine: "Machine", symbol: Symbol, items: tuple[int, ...]) -> None:
        """APPEND, APPENDS and ADDITEMS on what is no plain list or set."""
        calls.alter(self, machine, symbol, items)

    def persistent_id(self, machine: "Machine", value: int) -> None:
        """BINPERSID: the loader is asked for an object; PyTorch's ids tell a storage's type and key."""
        self.persistent += 1
        items = machine.items(value)
        if items is None or len(items) < 5 or machine.literal(items[0]) != "storage":
            return
        symbol = machine.symbol(items[1])
        key = machine.literal(items[2])
        if symbol is not None and symbol.record is not None and isinstance(key, str | int):
            self.storages[key] = symbol.record.name

    def add_nested(self, name: str, data: "bytes | Reader", *, loaded: bool) -> None:
        """Bytes that deserve an examination of their own; `loaded` when the stream itself unpickles them."""
        known = self.nested.get(name)
        if known is not None:
            known.loaded = known.loaded or loaded
        elif len(self.nested) < _MOST_NESTED:
            self.nested[name] = Nested(name, data, loaded=loaded)
        else:
            self.overfull = True

    # ---------------------------------------------------------------- facts

    def anomaly(self, what: str, detail: str, place: int) -> None:
        said = self._said.get(what, 0)
        if said < _MOST_SAID and not any(
            type(fact) is Anomaly and fact.what == what and fact.detail == detail for fact in self.stated
        ):
            self._said[what] = said + 1
            self.state(Anomaly(what=what, detail=detail, place=f"@ {place:#x}"))

    def state(self, fact: AnyFact) -> None:
        if len(self.stated) < 1000:
            self.stated[fact] = None

    def facts(self) -> Iterator[AnyFact]:
        """All that was seen: what was called first, then what was only resolved."""
        if len(self.records) > _FLOOD:
            yield Anomaly(
                what="pickle-global-flood",
                detail=f"resolves {len(self.records)} different globals, far more than any model needs",
            )
        yield from sorted(self.stated, key=lambda fact: (type(fact) is not EmbeddedCode, type(fact) is Reference))
        records = sorted(self.records.values(), key=lambda record: not record.uses)
        for record in records:
            yield from record.facts()


def _wanted(symbol: Symbol) -> bool:
    return symbol.record is None or symbol.record.wants_arguments()


class Acted(Exception):
    """A stream called something, which is all that the sniffer wants to know."""


def _by_last_name(name: str) -> str:
    """Dotted names reach builtins through any module that imported them: `logging` and `sys.modules`."""
    last = name.rpartition(".")[2]
    if "." not in name:
        return ""
    for module in ("builtins", "operator", "functools", "importlib"):
        found = semantics().get(f"{module}.{last}")
        if found:
            return found
    return ""
