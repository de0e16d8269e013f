"""Pickle files: every protocol, streams one after another, whatever wrote them (pickle, joblib, dill, cloudpickle).

Format: the Python library reference, module `pickle`, and CPython's `Lib/pickletools.py`.
"""

from garrison.artifacts.pickle.streams import Streams, complain, state, trailing
from garrison.core.errors import ExaminationError
from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source


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
    yield from state(streams, source)
    if failure is not None:
        raise failure
    if broken is None:
        yield from trailing(streams, source)
    complain(streams)
