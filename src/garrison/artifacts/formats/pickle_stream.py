"""Pickle files: every protocol, streams one after another, whatever wrote them (pickle, joblib, dill, cloudpickle).

Format: the Python library reference, module `pickle`, and CPython's `Lib/pickletools.py`.
"""

import re

from garrison.artifacts.pickle.streams import Streams, complain, state, trailing
from garrison.core.described import described
from garrison.core.errors import ExaminationError
from garrison.core.facts import Artifact, Import
from garrison.sources.source import Context, Extracted, Source

_SKLEARN = re.compile(
    rb"_sklearn_version(?:q.|r.{4}|\x94)?(?:X.{4}|\x8c.)([0-9][0-9A-Za-z.+]{0,30})[q\x94ru]"
    rb"|V_sklearn_version\n(?:p\d+\n)?V([0-9][0-9A-Za-z.+]{0,30})\n",
    re.DOTALL,
)
"""The last entry of an estimator's state, in every protocol."""
_END = 1 << 16


def extract(source: Source, context: Context) -> Extracted:
    """State what unpickling would resolve, call and carry.

    Raises `Malformed` where the first stream breaks before it acts, and `LimitExceeded`.
    """
    streams = Streams(source.reader, context)
    failure: ExaminationError | None = None
    try:
        streams.all()
    except ExaminationError as error:
        failure = error
    ledger = streams.ledger
    broken = streams.broken
    if broken is not None and ledger.called:
        ledger.anomaly("pickle-breaks-after-acting", f"the stream {broken.detail}", broken.position)
    details: dict[str, str | int | float | bool] = {"protocol": ledger.protocol, "streams": max(streams.count, 1)}
    if ledger.persistent:
        details["persistent_ids"] = ledger.persistent
    if streams.machine.raw:
        details["writer"] = "joblib"
        details["arrays"] = len(streams.machine.raw)
    yield Artifact(format="joblib" if streams.machine.raw else "pickle", details=details)
    estimator = ""
    for fact in state(streams, source):
        if not estimator and type(fact) is Import and fact.module.startswith("sklearn."):
            estimator = f"{fact.module}.{fact.name}"
        yield fact
    description = described(architecture=estimator, frameworks=_written_by(source)) if estimator else None
    if description is not None:
        yield description
    if failure is not None:
        raise failure
    if broken is None:
        yield from trailing(streams, source)
    complain(streams)


def _written_by(source: Source) -> dict[str, str]:
    """The version of scikit-learn that estimators keep in their state, which the outermost one's ends with."""
    size = source.reader.size
    found = list(_SKLEARN.finditer(source.reader.pread(max(size - _END, 0), _END)))
    return {"scikit-learn": (found[-1][1] or found[-1][2]).decode() if found else ""}
