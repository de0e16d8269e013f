"""Tells formulas from code, where a loader evaluates text as Python."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ast

_ARITHMETIC = frozenset(
    {"abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceiling", "cos", "cosh", "exp", "floor"}
    | {"int", "float", "log", "max", "min", "round", "sign", "sin", "sinh", "sqrt", "sym_max", "sym_min", "tan", "tanh"}
)
_EVALUATING = frozenset({"S", "Lambda", "Poly", "Function", "Subs", "Text", "MatrixSymbol"})
"""Names of SymPy with capitals that evaluate the texts which they are given, or make functions."""
_SYMBOL = re.compile(r"[\w .\[\]'\"-]*").fullmatch
_GUARD_NAMES = frozenset({"L", "G", "args", "len", "isinstance", "type", "math", "inf", "not", "int", "float", "bool"})
_GUARD_ATTRIBUTES = frozenset(
    {"size", "stride", "storage_offset", "shape", "ndim", "dim", "dtype", "device", "requires_grad", "numel", "data"}
    | {"floor", "ceil", "sqrt", "trunc", "log", "log2", "pow", "inf", "is_contiguous", "item", "sym_sum", "sym_max"}
)


def suspicious_expression(text: str) -> bool:
    """Whether a text that SymPy evaluates is more than a formula of numbers, symbols and SymPy's functions."""
    import ast

    tree = _parsed(text)
    if tree is None:
        return "(" in text or "__" in text
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Lambda | ast.JoinedStr | ast.NamedExpr | ast.Subscript | ast.Await):
            return True
        if isinstance(node, ast.Name) and node.id.startswith("__"):
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and not _SYMBOL(str(node.value)):
            return True
        if isinstance(node, ast.Call) and not _is_formula(node.func):
            return True
    return False


def _is_formula(function: object) -> bool:
    import ast

    if not isinstance(function, ast.Name):
        return False
    name = function.id
    return name in _ARITHMETIC or (name[:1].isupper() and name not in _EVALUATING)


def suspicious_guard(text: str) -> bool:
    """Whether a condition on a program's inputs does more than compare their shapes and values."""
    import ast

    tree = _parsed(text)
    if tree is None:
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda | ast.JoinedStr | ast.NamedExpr | ast.Await):
            return True
        if isinstance(node, ast.Name) and node.id not in _GUARD_NAMES | _ARITHMETIC and not node.id[:1].isupper():
            return True
        if isinstance(node, ast.Attribute) and node.attr not in _GUARD_ATTRIBUTES:
            return True
    return False


def _parsed(text: str) -> "ast.Expression | None":
    import ast
    import warnings

    if len(text) > 1 << 18:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
