"""The property that all else rests on: whatever some unpickler resolves is among the facts."""

from garrison.artifacts.pickle.sniffing import is_plausible
from garrison.core.facts import AnyFact, Import
from garrison.core.limits import Limits
from garrison.sources.examination import examine
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Source
from tests.artifacts.pickle.reference import EXTENSIONS, Reference

_CODES = {name: code for code, name in EXTENSIONS.items()}


def missing(data: bytes, reference: Reference) -> set[tuple[str, str]] | None:
    """Globals that CPython resolves and garrison does not state; None where CPython itself gave up."""
    reference.ask(data)
    try:
        facts = facts_of_pickle(data)
    finally:
        answer = reference.answer()
    if answer is None:
        return None
    first, further = answer
    stated = {(fact.module, fact.name) for fact in facts if type(fact) is Import}
    # Behind the first pickle, names that could name nothing are taken as noise.
    expected = first | {names for names in further if is_plausible(*names)}
    return {names for names in expected if names not in stated and not _by_extension(names, stated)}


def facts_of_pickle(data: bytes) -> list[AnyFact]:
    """All facts of bytes that a loader unpickles whatever they look like."""
    source = Source("subject", BytesReader(data), loaded_as=("pickle",))
    examinations = list(examine(source, Context(Limits(), len(data))))
    failed = [examination.reason for examination in examinations if examination.state == "failed"]
    assert not failed, failed
    return [fact for examination in examinations if examination.subject == "subject" for fact in examination.facts]


def _by_extension(names: tuple[str, str], stated: set[tuple[str, str]]) -> bool:
    module, name = names
    return module == "registered" and ("copyreg", f"extension code {_CODES[name]}") in stated
