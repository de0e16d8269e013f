"""Keep the database of advisories about packages: `update` brings advisories in, `status` says what is there and how
old it is. Exit codes: 0 done, or fresh enough; 1 `status` found no advisories, or older ones than the policy's
`database-days`; 2 wrong usage; 3 a source could not be used, as when the network fails (the others still count)."""

from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse
    import datetime
    from collections.abc import Iterator

    from garrison.cli.arguments import Parser
    from garrison.core.policy import Policy
    from garrison.dependencies.advisories.database import Database

_ACTIONS = ("update", "status")
_OF_UPDATE = {"origins": "--from", "ecosystems": "--ecosystem", "sha256": "--sha256", "fresh": "--fresh"}


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("action", choices=_ACTIONS, metavar="ACTION", help="update or status")
    add(
        "--from",
        action="append",
        default=[],
        dest="origins",
        metavar="FILE",
        help="take this instead of the usual sources: a file, a directory or an https:// address of advisories (OSV as "
        "zip, tar, JSON or YAML), EPSS scores or the KEV catalogue; may be given several times",
    )
    add(
        "--ecosystem",
        action="append",
        default=[],
        dest="ecosystems",
        metavar="NAME",
        help="of the usual sources take this ecosystem only, such as PyPI; may be given several times",
    )
    add("--sha256", default="", metavar="DIGEST", help="what the one file or address after --from must have")
    add("--fresh", action="store_true", help="keep nothing of the database that is there, whatever it is")
    add(
        "--database",
        metavar="FILE",
        help="the database (default: the policy's packages.database, relative to the working directory, else "
        "$GARRISON_DATABASE, else garrison/advisories.sqlite in $XDG_DATA_HOME)",
    )
    add("--policy", metavar="FILE", help="the policy (default: the nearest garrison.toml, or [tool.garrison])")
    add("--quiet", action="store_true", help="say only what is wrong")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.core.policy_file import load_policy

    policy = load_policy(arguments.policy)
    path = arguments.database or policy.packages.database
    if arguments.action == "update":
        return _update(arguments, path)
    for name, option in _OF_UPDATE.items():
        if getattr(arguments, name):
            raise UsageError(f"{option} belongs to `garrison db update`")
    return _status(policy, path, quiet=arguments.quiet)


def _update(arguments: "argparse.Namespace", path: str) -> int:
    from garrison.dependencies.advisories.origins import named_origins, usual_origins
    from garrison.dependencies.advisories.updating import update

    if arguments.origins and arguments.ecosystems:
        raise UsageError("--ecosystem chooses among the usual sources, which --from replaces")
    if arguments.sha256 and not arguments.origins:
        raise UsageError("--sha256 needs --from")
    if arguments.origins:
        origins = named_origins(arguments.origins, arguments.sha256)
    else:
        origins = usual_origins(arguments.ecosystems)

    def say(line: str) -> None:
        if not arguments.quiet:
            terminal.say(line)

    outcome = update(origins, path, fresh=arguments.fresh, say=say)
    for failure in outcome.failures:
        _complain(failure)
    if outcome.written:
        say(f"written: {_near(outcome.path)}")
    return exits.FAILED if outcome.failures else exits.PASSED


def _status(policy: "Policy", path: str, *, quiet: bool) -> int:
    import datetime

    from garrison.dependencies.advisories.database import Database, DatabaseMissing

    try:
        database = Database.open(path)
    except DatabaseMissing as missing:
        _complain(str(missing))
        return exits.DENIED
    now = datetime.datetime.now(datetime.UTC)
    with database:
        database.check()
        if not quiet:
            terminal.say(*_described(database, now))
        problems = list(_stale(database, now, policy.packages.database_days))
    for problem in problems:
        _complain(problem)
    return exits.DENIED if problems else exits.PASSED


def _described(database: "Database", now: "datetime.datetime") -> "Iterator[str]":
    import os

    yield f"{_near(os.path.abspath(database.path))}: {os.path.getsize(database.path):,} bytes"
    for source in database.sources:
        yield source.described(now)
        yield f"  from {_near(source.name)}"


def _stale(database: "Database", now: "datetime.datetime", days: int) -> "Iterator[str]":
    """Ecosystems whose freshest advisories are older than the policy allows."""
    names = sorted({name for source in database.sources for name in source.ecosystems})
    if not names:
        yield "the database holds no advisories: `garrison db update` brings them in"
    for name in names:
        age = (now - database.covering(name)[0].as_of).days
        if age > days:
            yield f"the advisories of {name} are {age:,} days old, and policy allows {days:,}: `garrison db update`"


def _near(path: str) -> str:
    """A path below the working directory without it."""
    import os

    return path.removeprefix(os.path.join(os.getcwd(), ""))


def _complain(text: str) -> None:
    import sys

    from garrison.reporting.text import printable

    print(f"garrison: {printable(text)}", file=sys.stderr)
