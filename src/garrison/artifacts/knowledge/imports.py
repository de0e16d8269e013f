"""Looks up what a dotted name does: harmless, dangerous in a known way, or unknown.

`imports.json` maps modules to names. A key covers its module; the tokens `*` (every name) and `<Class>` (every name
whose last part begins with a capital) cover its submodules too; other tokens are names, dotted where they name
attributes, and may hold `*`. The longest module that says something about a name decides; there, what is dangerous goes
before what is safe, except that a plain name goes before a pattern.
"""

import fnmatch
import functools
import os
import sys
from typing import Literal

import msgspec

_HOT = frozenset(
    {
        "os",
        "posix",
        "nt",
        "sys",
        "subprocess",
        "builtins",
        "__builtin__",
        "io",
        "socket",
        "shutil",
        "pickle",
        "importlib",
    }
    | {"ctypes", "runpy", "pty", "code", "types", "marshal", "operator", "pathlib", "inspect", "imp", "commands"}
)
"""Modules that other modules re-export, so that `logging.os.system` is `os.system`."""
_OPENING_DUNDERS = frozenset(
    {"__globals__", "__builtins__", "__subclasses__", "__loader__", "__code__", "__closure__", "__getattribute__"}
    | {
        "__mro__",
        "__bases__",
        "__base__",
        "__reduce__",
        "__reduce_ex__",
        "__import__",
        "__func__",
        "__self__",
        "__spec__",
    }
)
_OLD_MODULES = frozenset(
    {"asynchat", "asyncore", "smtpd", "distutils", "imp", "lib2to3", "cgi", "cgitb", "crypt", "imghdr", "mailcap"}
    | {"msilib", "nis", "nntplib", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib", "audioop", "aifc"}
    | {"popen2", "commands", "new", "dircache", "ihooks", "rexec", "Bastion", "user", "compiler", "hotshot", "binhex"}
)
_STANDARD = frozenset(sys.stdlib_module_names) | _OLD_MODULES


class Effect(msgspec.Struct, frozen=True):
    severity: Literal["medium", "high", "critical"]
    does: str


class _Dangerous(msgspec.Struct, frozen=True):
    effect: str
    reason: str
    names: dict[str, str]


class _Safe(msgspec.Struct, frozen=True):
    reason: str
    names: dict[str, str]


class _Knowledge(msgspec.Struct, frozen=True):
    effects: dict[str, Effect]
    dangerous: list[_Dangerous]
    safe: list[_Safe]
    aliases: dict[str, str]


class Verdict(msgspec.Struct, frozen=True):
    """What is known of one name."""

    kind: Literal["safe", "dangerous", "unlisted", "unknown", "computed"]
    """`unlisted`: of the standard library, and not on the list of what honest artifacts use. `computed`: the name
    itself is put together while loading."""
    target: str
    """The name after aliases and re-exports are resolved."""
    effect: str = ""
    reason: str = ""
    through: bool = False
    """Whether it is another module's, had through one that merely imported it."""


class _Module:
    """What the knowledge says about the names of one module."""

    def __init__(self) -> None:
        self.plain: dict[str, tuple[str, str]] = {}
        self.patterns: list[tuple[str, tuple[str, str]]] = []
        self.tree: tuple[str, str] | None = None
        self.classes: tuple[str, str] | None = None

    def add(self, tokens: str, meaning: tuple[str, str]) -> None:
        for token in tokens.split():
            if token == "*":
                self.tree = self.tree or meaning
            elif token == "<Class>":
                self.classes = self.classes or meaning
            elif "*" in token:
                self.patterns.append((token, meaning))
            else:
                self.plain.setdefault(token, meaning)

    def named(self, rest: list[str]) -> tuple[str, str] | None:
        """What is said of a name of this very module."""
        dotted = ".".join(rest)
        if found := self.plain.get(dotted):
            return found
        for pattern, meaning in self.patterns:
            if fnmatch.fnmatchcase(dotted, pattern):
                return meaning
        # An attribute of a dangerous thing is dangerous; an attribute of a safe one is not thereby safe.
        if len(rest) > 1 and (found := self.plain.get(rest[0])) and found[0]:
            return found
        return None

    def below(self, rest: list[str]) -> tuple[str, str] | None:
        """What is said of all names of this module and its submodules."""
        if self.classes is not None and rest[-1].lstrip("_")[:1].isupper():
            return self.classes
        return self.tree


@functools.cache
def _knowledge() -> tuple[_Knowledge, dict[str, _Module], list[tuple[str, _Module]]]:
    with open(os.path.join(os.path.dirname(__file__), "imports.json"), "rb") as file:
        known = msgspec.json.decode(file.read(), type=_Knowledge)
    modules: dict[str, _Module] = {}
    for dangerous in known.dangerous:
        for module, tokens in dangerous.names.items():
            modules.setdefault(_canonical(module, known.aliases), _Module()).add(
                tokens, (dangerous.effect, dangerous.reason)
            )
    for safe in known.safe:
        for module, tokens in safe.names.items():
            modules.setdefault(_canonical(module, known.aliases), _Module()).add(tokens, ("", safe.reason))
    families = [(name[:-1], module) for name, module in modules.items() if name.endswith("*")]
    return known, modules, families


def effect(name: str) -> Effect:
    """An effect that a verdict names."""
    return _knowledge()[0].effects[name]


def _canonical(name: str, aliases: dict[str, str]) -> str:
    for _ in range(4):
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            prefix = ".".join(parts[:length])
            if prefix in aliases:
                name = ".".join([aliases[prefix], *parts[length:]])
                break
        else:
            return name
    return name


@functools.lru_cache(maxsize=65536)
def verdict(module: str, name: str) -> Verdict:
    """What resolving `module.name` gives the loader."""
    if "…" in module or "…" in name:
        return Verdict("computed", f"{module}.{name}")
    known = _knowledge()[0]
    target = _canonical(".".join(part for part in (module, name) if part), known.aliases)
    parts = [part for part in target.split(".") if part]
    if not parts:
        return Verdict("unknown", target)
    meaning = _dunder(parts) or (_lookup(parts) if name else _whole(parts))
    if meaning is None or not meaning[0]:
        for start in range(1, len(parts)):
            if parts[start] in _HOT:
                inner = _canonical(".".join(parts[start:]), known.aliases).split(".")
                hidden = _lookup(inner) if len(inner) > 1 else ("reach", f"it is the module {inner[0]} itself")
                if hidden is not None and hidden[0]:
                    return Verdict("dangerous", ".".join(inner), *hidden, through=True)
    if meaning is not None:
        return Verdict("dangerous" if meaning[0] else "safe", target, *meaning)
    return Verdict("unlisted" if parts[0] in _STANDARD and name else "unknown", target)


def _whole(parts: list[str]) -> tuple[str, str] | None:
    """What it means to import a module as such: what is reached through it is another name."""
    _, modules, _ = _knowledge()
    if parts[0] in _HOT:
        return "reach", f"it is the module {parts[0]} itself"
    found = _lookup([*parts, "*"])
    if found is not None and found[0]:
        return found
    known = any(known == parts[0] or known.startswith(f"{parts[0]}.") for known in modules)
    return ("", "importing it only makes its names known") if known or parts[0] in _STANDARD else None


def opens(name: str) -> bool:
    """Whether the attribute leads from any object to its module's globals, its class's relatives or its code."""
    return name in _OPENING_DUNDERS


def _dunder(parts: list[str]) -> tuple[str, str] | None:
    """Names that lead from an object to its module's globals, its class's relatives or its code."""
    for index, part in enumerate(parts[1:], 1):
        if part.startswith("__") and part.endswith("__"):
            exact = _lookup(parts[: index + 1], trees=False)
            if exact is not None:
                return exact
            if part in _OPENING_DUNDERS:
                return "reach", f"{part} leads to whatever the process holds"
            before = _lookup(parts[:index]) if index > 1 else None
            if before is not None and before[0]:
                return before
            if parts[0] in _STANDARD:
                return "reach", f"{part} leads to what the module holds"
    return None


def _lookup(parts: list[str], *, trees: bool = True) -> tuple[str, str] | None:
    _, modules, families = _knowledge()
    for length in range(len(parts) - 1, 0, -1):
        module = modules.get(".".join(parts[:length]))
        if module is not None:
            found = module.named(parts[length:])
            if found is None and trees:
                found = module.below(parts[length:])
            if found is not None:
                return found
    for prefix, module in families:
        if trees and ".".join(parts).startswith(prefix) and module.tree is not None:
            return module.tree
    whole = modules.get(".".join(parts))
    if whole is not None and whole.tree is not None and whole.tree[0]:
        return whole.tree
    return None
