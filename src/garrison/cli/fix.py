"""Raise what manifests ask for to the least versions without known vulnerabilities: shown as a diff, or written."""

import os
import sys
from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.cli.arguments import Parser
from garrison.core.errors import GarrisonError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from garrison.core.facts import Examination
    from garrison.core.policy import Policy
    from garrison.core.report import Item
    from garrison.dependencies.advisories.database import Database
    from garrison.dependencies.fixing.files import Changed
    from garrison.dependencies.fixing.planning import Change, Left, Lock, Plan

_NAMES = 4
_LINKS = ("link-out-of-directory", "escaping-link")


def configure(parser: Parser) -> None:
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="a project's directory, or a file that names its packages")
    add("--write", action="store_true", help="change the files, and do not only show how")
    add("--online", action="store_true", help="ask the package index which versions there are, and for their hashes")
    add("--policy", metavar="FILE", help="the policy (default: the nearest garrison.toml, or [tool.garrison])")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.core.policy_file import find_policy, load_policy
    from garrison.dependencies.advisories.database import Database
    from garrison.dependencies.fixing.files import apply
    from garrison.dependencies.fixing.planning import plan

    found = arguments.policy or find_policy(".")
    policy = load_policy(os.path.relpath(found) if found else None)
    examinations, unread = _examined(arguments.paths, policy)
    try:
        database = Database.open(policy.packages.database)
    except GarrisonError as error:
        raise UsageError(str(error)) from None
    with database:
        planned = _online(examinations, database, policy) if arguments.online else plan(examinations, database)
        files, refused = apply(planned.changes, _read)
        against = "; ".join(source.described() for source in database.sources if "PyPI" in source.ecosystem)
    left = [*planned.left, *refused]
    if arguments.write:
        for file in files:
            _write(file)
    _show(files, left, unread, written=arguments.write)
    for lock in planned.locks:
        _lock(lock)
    _sum_up(planned, files, left, against, written=arguments.write)
    remaining = left or unread or planned.locks or any(change.left for file in files for change in file.changes)
    return exits.DENIED if remaining or (files and not arguments.write) else exits.PASSED


def _examined(paths: "Sequence[str]", policy: "Policy") -> "tuple[list[Examination], list[str]]":
    """What is in the files, as workers in their jail read it; and what could not be read."""
    from garrison.core.facts import Anomaly, Examination
    from garrison.scanning import scan

    report = scan(paths, policy)
    leaving = {
        item.subject
        for item in report.inventory
        for fact in item.facts
        if type(fact) is Anomaly and fact.what in _LINKS
    }
    found = [
        Examination(subject=item.subject, formats=list(item.formats), facts=list(item.facts))
        for item in _once(report.inventory)
        if item.subject not in leaving
    ]
    unread = [f"{e.subject}: {e.reason}" for e in report.coverage.entries if e.state in ("failed", "partial")]
    unread += [f"{subject}: a link that leaves what was named" for subject in sorted(leaving)]
    return found, unread


def _once(items: "Sequence[Item]") -> "Iterator[Item]":
    """Each file once, under its own name rather than a link's, so that no change is made twice."""
    seen: set[str] = set()
    for item in sorted(items, key=lambda item: os.path.islink(item.subject)):
        path = os.path.realpath(item.subject)
        if path not in seen:
            seen.add(path)
            yield item


def _online(examinations: "Sequence[Examination]", database: "Database", policy: "Policy") -> "Plan":
    """A plan of versions that the index has, and that no package which stays as it is forbids."""
    from garrison.dependencies.fixing.neighbours import limits
    from garrison.dependencies.fixing.planning import plan, vulnerable_names
    from garrison.dependencies.index import Index
    from garrison.dependencies.index.inquiry import is_private

    index = Index(policy.packages.index)
    names = vulnerable_names(examinations, database)
    if index.address.public:
        names = {name for name in names if not is_private(name, policy)}
    asked = index.projects(names)
    silent = [one.problem for one in asked.values() if one.problem]
    if silent:
        raise GarrisonError(f"{len(silent)} of {len(asked)} packages got no answer from the index: {silent[0]}")
    first = plan(examinations, database, asked)
    shown = [one if not index.address.public else _public(one, policy) for one in examinations]
    more = list(limits(shown, first.changes, index))
    return plan([*examinations, *more], database, asked) if more else first


def _public(examination: "Examination", policy: "Policy") -> "Examination":
    """Without the packages whose names a public index must not learn."""
    import msgspec.structs

    from garrison.core.facts import Requirement
    from garrison.dependencies.index.inquiry import is_private
    from garrison.dependencies.index.project import normalised

    facts = [
        fact
        for fact in examination.facts
        if not (type(fact) is Requirement and is_private(normalised(fact.name), policy))
    ]
    return msgspec.structs.replace(examination, facts=facts)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _write(file: "Changed") -> None:
    from garrison.dependencies.fixing.writing import replace

    replace(file.path, file.before, file.after)


def _show(files: "Sequence[Changed]", left: "Sequence[Left]", unread: "Sequence[str]", *, written: bool) -> None:
    """Reasons and diffs on standard output; what reads diffs passes over the lines between them."""
    from garrison.dependencies.fixing.files import difference

    for file in files:
        for change in file.changes:
            _say(f"{_place(change.subject, change.fact.place)}: {_told(change)}")
        if not written:
            _say(difference(file), as_is=True)
    for one in left:
        _say(
            f"{_place(one.subject, one.place)}: {one.name} {one.version} has {_listed(one.vulnerabilities)} and stays: "
            f"{one.reason}"
        )
    for reason in unread:
        _say(f"not read: {reason}")


def _lock(lock: "Lock") -> None:
    _say(
        f"{lock.subject}: lock files are not edited, and {_count(len(lock.packages), 'package')} in it can be attacked:"
    )
    for name, version, target, vulnerabilities in lock.packages:
        to = f"{target} or later clears" if target else "no version is known to clear"
        _say(f"  {name} {version}: {to} {_listed(vulnerabilities)}")
    if lock.command:
        _say(f"  run: {lock.command}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _place(subject: str, place: str) -> str:
    return f"{subject} {place}".strip()


def _told(change: "Change") -> str:
    text = f"{change.fact.name} {change.old} to {change.new} clears {_listed(change.clears)}"
    return f"{text}, and leaves {_listed(change.left)}, which no version that fits clears" if change.left else text


def _listed(names: "Sequence[str]") -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _say(text: str, *, as_is: bool = False) -> None:
    """A line, or a diff as it is; a terminal gets neither's control characters."""
    from garrison.reporting.text import printable

    if not as_is or sys.stdout.isatty():
        text = "".join(f"{printable(line)}\n" for line in text.rstrip("\n").split("\n"))
    data = text.encode("utf-8", "surrogateescape")
    terminal.write_bytes(data)


def _sum_up(plan: "Plan", files: "Sequence[Changed]", left: "Sequence[Left]", against: str, *, written: bool) -> None:
    """What was done and how much was looked at, on standard error: a diff in a pipe stays one."""
    count = sum(len(file.changes) for file in files)
    verb = "raised" if written else "to raise"
    total = plan.looked_at + plan.open
    looked = f"looked at {plan.looked_at} of {_count(total, 'requirement')}"
    if plan.open:
        looked += f" ({plan.open} {'names' if plan.open == 1 else 'name'} no version to begin at)"
    print(f"{count} {verb}, {len(left)} left; {looked}. {against}".rstrip(), file=sys.stderr)
    if count and not written:
        print("Nothing was written; `garrison fix --write` does.", file=sys.stderr)
