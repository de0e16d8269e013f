"""Changes one requirement in a file and proves that nothing else changed: the file is read again, before and after.

The text is searched for what the requirement says; where it stands more than once, the reader of the format tells which
change meets the one that is meant. No file is written out anew from what was parsed, so that comments, order, quotes
and line endings stay.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from garrison.core.facts import AnyFact, Requirement
from garrison.core.limits import Limits
from garrison.dependencies.fixing.ranges import admits, lower_bound, pattern, raised
from garrison.sources.examination import examine
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Source

_HASH = re.compile(r"--hash(?:=|[ \t]+)(sha\d+):[0-9a-fA-F]+")
_CONTINUED = re.compile(r"[^\n]*\\\r?\n")
_TRIED = 200


class CannotEdit(Exception):
    """Says why a requirement is left as it is."""


def edited(data: bytes, subject: str, fact: Requirement, version: str, hashes: Sequence[str] = ()) -> bytes:
    """The file with one requirement raised to `version`; a pin with hashes gets those given. Raises `CannotEdit`."""
    if fact.hashes and not hashes:
        raise CannotEdit("it has hashes, and only the index knows those of the other version: run with --online")
    text, coding, mark = _decoded(data)
    before = _facts(data, subject)
    if fact not in before:
        raise CannotEdit("the file has changed since it was examined")
    number = before.index(fact)
    for start, end in _spans(text, fact):
        new = raised(text[start:end], version, fact.ecosystem)
        if new is None:
            break
        changed = text[:start] + new + _with_hashes(text[end:], hashes if fact.hashes else ())
        result = mark + changed.encode(coding)
        if _proves(before, _facts(result, subject), number, version, hashes):
            return result
    raise CannotEdit("its place in the file could not be told for certain")


def _decoded(data: bytes) -> tuple[str, str, bytes]:
    """The text, its coding and its byte order mark, if the text gives the same bytes again."""
    from garrison.core.errors import Malformed
    from garrison.dependencies.requirement_lines import decode

    for mark, coding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            return data[len(mark) :].decode(coding), coding, mark
    try:
        return data.decode("utf-8"), "utf-8", b""
    except UnicodeDecodeError:
        pass
    try:
        text = decode(data)
    except Malformed as error:
        raise CannotEdit(str(error)) from None
    found = re.search(rb"coding[:=]\s*([-\w.]+)", data[:400])
    coding = found[1].decode() if found else "utf-8"
    if text.encode(coding) != data:
        raise CannotEdit(f"its coding {coding} does not give the same bytes again")
    return text, coding, b""


def _facts(data: bytes, subject: str) -> list[AnyFact]:
    source = Source(subject, BytesReader(data))
    context = Context(Limits(), len(data))
    return [fact for examination in examine(source, context) for fact in examination.facts]


def _spans(text: str, fact: Requirement) -> Iterator[tuple[int, int]]:
    """Where the range stands, the likely places first: on a line that names the package, and after the name."""
    name = re.compile(re.sub(r"[-_.]+", "[-_.]+", re.escape(fact.name).replace("\\-", "-").replace("\\.", ".")), re.I)
    near: list[tuple[int, int]] = []
    far: list[tuple[int, int]] = []
    for found in re.finditer(pattern(fact.specifier), text):
        line = text.rfind("\n", 0, found.start()) + 1
        (near if name.search(text, line, found.start()) else far).append(found.span())
    yield from (near + far)[:_TRIED]


def _with_hashes(rest: str, hashes: Sequence[str]) -> str:
    """The rest of a logical line and of the file, with other hashes in the line, set as the old ones were."""
    if not hashes:
        return rest
    end = 0
    while continued := _CONTINUED.match(rest, end):
        end = continued.end()
    end = rest.find("\n", end) if "\n" in rest[end:] else len(rest)
    old = list(_HASH.finditer(rest, 0, end))
    if not old:
        return rest
    before = rest[: old[0].start()]
    between = (
        rest[old[0].end() : old[1].start()]
        if len(old) > 1
        else (re.search(r"[ \t]*(?:\\\r?\n[ \t]*)?$", before) or [" "])[0]
    )
    return before + (between or " ").join(f"--hash={one}" for one in hashes) + rest[old[-1].end() :]


def _proves(
    before: Sequence[AnyFact], after: Sequence[AnyFact], number: int, version: str, hashes: Sequence[str]
) -> bool:
    """Whether the one requirement begins at `version` now, and all else that the file says is as it was."""
    if len(before) != len(after) or any(
        one != other for position, (one, other) in enumerate(zip(before, after, strict=True)) if position != number
    ):
        return False
    old, new = before[number], after[number]
    if not isinstance(old, Requirement) or not isinstance(new, Requirement):
        return False
    same = msgspec.structs.replace(new, specifier=old.specifier, hashes=old.hashes) == old
    kept = set(new.hashes) == set(hashes) if old.hashes else new.hashes == ()
    return same and kept and admits(new, version) and (lower_bound(new) == version or "~" in old.specifier)
