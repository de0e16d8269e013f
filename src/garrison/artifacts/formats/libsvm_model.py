"""LIBSVM and LIBLINEAR models: lines of a name and values, then the support vectors or the weights.

Sources: `svm.cpp` (`svm_load_model`) of LIBSVM and `linear.cpp` (`load_model`) of LIBLINEAR.
"""

import re

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 16
_SHOWN = 200
_LIBSVM = re.compile(rb"svm_type (?:c_svc|nu_svc|one_class|epsilon_svr|nu_svr)\r?\nkernel_type \w+\r?\n").match
_LIBLINEAR = re.compile(rb"solver_type (?:MCSVM_CS|[LO][\w]{2,30})\r?\nnr_class \d+\r?\n").match
_TOLD = frozenset({"svm_type", "kernel_type", "nr_class", "total_sv", "solver_type", "nr_feature"})
_COUNTS = ("nr_class", "total_sv", "nr_feature")


def sniff(source: Source) -> bool:
    """The first two lines of either library's models."""
    head = source.reader.pread(0, 256)
    return _LIBSVM(head) is not None or _LIBLINEAR(head) is not None


def extract(source: Source, context: Context) -> Extracted:
    """What the header says, and counts for which memory would be taken in vain. Raises `Malformed`."""
    head = source.reader.pread(0, _HEAD)
    details: dict[str, str | int | float | bool] = {}
    for line in head.split(b"\n"):
        key, _, value = line.decode("utf-8", "replace").strip().partition(" ")
        if key in ("SV", "w"):
            break
        if key in _TOLD:
            details[key] = value[:_SHOWN]
    yield Artifact(format="libsvm", details={"framework": "libsvm" if _LIBSVM(head) else "liblinear", **details})
    for key in _COUNTS:
        text = str(details.get(key, "0"))
        if not text.isdecimal() or int(text[:12]) > source.reader.size:
            raise Malformed(f"{key} is {text[:50]}, more than the file has room for")
