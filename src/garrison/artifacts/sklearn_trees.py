"""The nodes of scikit-learn's trees, stored as an array of structures: prediction follows their indices unchecked.

Sources: `sklearn/tree/_tree.pyx` (`NODE_DTYPE`) and `sklearn/ensemble/_hist_gradient_boosting/common.pyx`
(`PREDICTOR_RECORD_DTYPE`).
"""

import struct
from typing import TYPE_CHECKING

from garrison.artifacts import tree_structure
from garrison.artifacts.formats import numpy_array
from garrison.artifacts.numpy_types import size_of
from garrison.core.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from garrison.sources.reader import Reader

_LEAF = -1
_TREE = ("left_child", "right_child", "feature")
_BOOSTED = ("left", "right", "feature_idx", "is_leaf")
_CODES = {"i8": "q", "i4": "i", "u4": "I", "u1": "B", "b1": "B", "i2": "h", "u2": "H"}


def problem(reader: "Reader", features: int, limit: int) -> str:
    """What is wrong with the nodes in an `.npy` file; empty where nothing is, or where it holds no nodes.

    Raises `Malformed` where it is no array, and `LimitExceeded`.
    """
    description, shape, start = numpy_array.structure(reader)
    for wanted in (_TREE, _BOOSTED):
        layout = _layout(description, wanted)
        if layout is not None and len(shape) == 1 and shape[0] >= 0:
            size = layout[0].size * shape[0]
            if size > limit:
                raise LimitExceeded("buffer", f"{size} bytes of nodes")
            return _problem(layout[0].iter_unpack(reader.exactly(start, size)), layout[1], shape[0], features)
    return ""


def _layout(description: object, wanted: tuple[str, ...]) -> tuple[struct.Struct, tuple[int, ...]] | None:
    """How to unpack the wanted fields, and where each stands among them; `None` where one is missing."""
    form, order = "<", []
    for field in description if isinstance(description, list) else []:
        if not isinstance(field, tuple) or len(field) != 2 or not isinstance(field[1], str):
            return None
        size = size_of(field[1])
        code = _CODES.get(field[1].lstrip("<|="))
        if field[0] in wanted and field[0] not in order and code is not None:
            order.append(field[0])
            form += code
        elif size is not None:
            form += f"{size}x"
        else:
            return None
    return (struct.Struct(form), tuple(map(order.index, wanted))) if set(order) == set(wanted) else None


def _problem(nodes: "Iterator[tuple[int, ...]]", order: tuple[int, ...], count: int, features: int) -> str:
    children: list[int] = []
    splits: list[int] = []
    left, right, split = order[:3]
    for node in nodes:
        if node[order[3]] if len(order) == 4 else node[left] == _LEAF:
            continue
        children += (node[left], node[right])
        splits.append(node[split])
    return tree_structure.children(children, 0, count) or tree_structure.features(splits, features)
