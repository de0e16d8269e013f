"""Labels in a model's order of classes."""

import dataclasses

import numpy as np

from garrison.core.errors import UsageError
from garrison.robustness.data import Data


def aligned(data: Data, class_names: tuple[str, ...]) -> Data:
    """The data with its labels as positions in what a model calls its classes.

    Labels stay as they are where either side has no names, which for numbered labels are the numbers themselves. Raises
    `UsageError` where the data has a class that the model does not know.
    """
    if not class_names:
        return data
    present = np.unique(data.labels)
    if data.classes:
        names = {int(label): data.classes[label] for label in present}
        if not set(names.values()) & set(class_names) and len(data.classes) == len(class_names):
            note = (
                f"classes are matched by their order: the data's {data.classes[0]!r} is the model's {class_names[0]!r}"
            )
            return dataclasses.replace(data, classes=class_names, notes=(*data.notes, note))
    else:
        names = {int(label): str(label) for label in present}
        whole = [str(position) for position in range(len(class_names))]
        if list(class_names) == whole or not set(names.values()) & set(class_names):
            return data
    unknown = sorted(set(names.values()) - set(class_names))
    if unknown:
        raise UsageError(f"{data.name}: the model does not know the class {unknown[0]!r}, but {_some(class_names)}")
    order = np.zeros(int(present.max()) + 1, np.int64)
    for label, name in names.items():
        order[label] = class_names.index(name)
    return dataclasses.replace(data, labels=order[data.labels], classes=class_names)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
