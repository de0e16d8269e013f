"""From a plan to files: what each would hold, and what of the plan could not be put into it."""

import os
from collections.abc import Callable, Iterable

import msgspec

from garrison.dependencies.fixing.editing import CannotEdit, edited
from garrison.dependencies.fixing.planning import Change, Left


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One file before and after."""

    path: str
    before: bytes
    after: bytes
    changes: tuple[Change, ...]


def apply(changes: Iterable[Change], read: Callable[[str], bytes]) -> tuple[list[Changed], list[Left]]:
    """The files with the changes in them, one after the other, so that each is proved by itself."""
    by_file: dict[str, list[Change]] = {}
    for change in changes:
        by_file.setdefault(change.subject, []).append(change)
    files: list[Changed] = []
    left: list[Left] = []
    for path, wanted in by_file.items():
        before = data = read(path)
        done: list[Change] = []
        for change in wanted:
            try:
                data = edited(data, path, change.fact, change.new, change.hashes)
            except CannotEdit as error:
                left.append(_left(change, str(error)))
            else:
                done.append(change)
        if done:
            files.append(Changed(path=path, before=before, after=data, changes=tuple(done)))
    return files, left


def _left(change: Change, reason: str) -> Left:
    return Left(
        subject=change.subject,
        place=change.fact.place,
        name=change.fact.name,
        version=change.old,
        vulnerabilities=change.clears,
        reason=reason,
    )


def difference(file: Changed) -> str:
    """A unified diff, which `git apply` and `patch -p1` take."""
    import difflib

    def lines(data: bytes) -> list[str]:
        # Only a line feed ends a line of a diff.
        parts = data.decode("utf-8", "surrogateescape").split("\n")
        return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])

    path = os.path.relpath(file.path)
    path = file.path.lstrip("/") if path.startswith("..") else path
    found = difflib.unified_diff(lines(file.before), lines(file.after), f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found)
