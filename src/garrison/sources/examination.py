"""Examines one source and all that is inside it."""

import functools
from collections.abc import Callable, Iterator

import msgspec.structs

from garrison.core.errors import ExaminationError, LimitExceeded, Malformed
from garrison.core.facts import Anomaly, AnyFact, CoverageState, Examination, Secret
from garrison.core.registry import Format, formats, load, registration
from garrison.sources.identification import HEAD, identify, looks_like_text
from garrison.sources.source import Context, Source

_SHORTEST = 16
_WORST: dict[CoverageState, int] = {
    "examined": 0,
    "skipped": 1,
    "not-understood": 2,
    "partial": 3,
    "failed": 4,
}


def examine(source: Source, context: Context) -> Iterator[Examination]:
    """Yield one examination for the source and one for each source inside it, to the depth that the limits allow.

    Never raises for what the bytes hold: what went wrong is in `state` and `reason`.
    """
    examination = Examination(subject=source.subject)
    try:
        examination.size = source.reader.size if not source.depth else _size_if_known(source)
        failures: list[str] = []
        found = identify(source, failures)
        examination.formats = [entry.id for entry in found]
        if examination.size == 0 and not found:
            examination.formats = ["empty"]
        elif not found and source.scope is not None:
            yield from _among_many(source, context, examination)
            return
        elif not found:
            _lower(examination, "not-understood", "no format that garrison knows")
        if failures:
            _lower(examination, "failed", failures[0])
        examination.facts += _mismatch(source, found)
    except ExaminationError as error:
        _lower(examination, "failed", str(error))
        found = []
    for entry in found:
        if entry.extractor:
            yield from _extract(entry, source, context, examination)
    if found and not any(entry.container for entry in found) and (source.scope is None or source.scope.search):
        yield from _search(source, context, examination)
    yield examination


def _search(source: Source, context: Context, examination: Examination) -> Iterator[Examination]:
    """What is looked for in every text."""
    if not _is_text(source):
        return
    for search in registration().searches:
        entry = Format(id="text", title="text", extractor=search)
        yield from _extract(entry, source, context, examination)


def _among_many(source: Source, context: Context, examination: Examination) -> Iterator[Examination]:
    """A file of a file system that is nothing which is looked for there; it is stated only if its text tells much."""
    if source.scope is not None and source.scope.search:
        yield from _search(source, context, examination)
    if examination.facts:
        examination.formats = ["text"]
        yield examination


def _extract(entry: Format, source: Source, context: Context, examination: Examination) -> Iterator[Examination]:
    extractor: Callable[[Source, Context], Iterator[AnyFact | Source | Examination]] = load(entry.extractor)
    limits = context.limits
    try:
        context.check_time()
        for item in extractor(source, context):
            if isinstance(item, Examination):
                yield item
            elif isinstance(item, Source):
                if item.depth > limits.depth:
                    raise LimitExceeded("depth", f"containers are nested more than {limits.depth} deep")
                yield from examine(item, context)
            elif len(examination.facts) >= limits.facts:
                raise LimitExceeded("facts", f"more than {limits.facts} facts in one subject")
            elif type(item) is Secret and source.scope is not None and source.scope.hidden:
                examination.facts.append(msgspec.structs.replace(item, hidden=source.scope.hidden))
            else:
                examination.facts.append(item)
    except LimitExceeded as error:
        what = "decompression-bomb" if error.limit in ("ratio", "unpacked") else "resource-limit"
        examination.facts.append(Anomaly(what=what, detail=f"{entry.title}: {error} ({error.limit})"))
        _lower(examination, "partial", str(error))
    except Malformed as error:
        examination.facts.append(Anomaly(what="malformed", detail=f"{entry.title}: {error}"))
        _lower(examination, "partial", str(error))
    except ExaminationError as error:
        _lower(examination, "not-understood", str(error))
    except RecursionError:
        examination.facts.append(Anomaly(what="resource-limit", detail=f"{entry.title}: nested too deep"))
        _lower(examination, "partial", "nested too deep")
    except MemoryError:
        examination.facts.append(Anomaly(what="resource-limit", detail=f"{entry.title}: needs too much memory"))
        _lower(examination, "partial", "needs more memory than the limit")
    except Exception as error:
        _lower(examination, "failed", f"the {entry.title} reader failed: {type(error).__name__}: {error}"[:300])


def _is_text(source: Source) -> bool:
    """Whether it is text, and long enough to hold what is searched for."""
    try:
        head = source.reader.pread(0, HEAD)
        return len(head) >= _SHORTEST and looks_like_text(head)
    except ExaminationError:
        return False


def _lower(examination: Examination, state: CoverageState, reason: str) -> None:
    if _WORST[state] > _WORST[examination.state]:
        examination.state = state
        examination.reason = reason


def _size_if_known(source: Source) -> int:
    from garrison.sources.reader import DecompressingReader

    return -1 if isinstance(source.reader, DecompressingReader) else source.reader.size


@functools.cache
def _promising() -> dict[str, list[Format]]:
    """The formats that a name's ending promises."""
    endings: dict[str, list[Format]] = {}
    for entry in formats().values():
        for ending in entry.extensions:
            endings.setdefault(ending, []).append(entry)
    return endings


def _mismatch(source: Source, found: list[Format]) -> list[AnyFact]:
    """A name that promises another format than the bytes hold."""
    if not found or source.loaded_as or source.scope is not None:
        return []
    name = source.name.lower()
    promised = [entry for start, sign in enumerate(name) if sign == "." for entry in _promising().get(name[start:], ())]
    if not promised or any(entry in found for entry in promised):
        return []
    return [
        Anomaly(
            what="format-mismatch",
            detail=f"named like {promised[0].title}, but the bytes are {found[0].title}",
        )
    ]
