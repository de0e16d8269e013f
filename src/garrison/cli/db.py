"""Keep the database of advisories about packages: where it is, what is in it, how old that is."""

from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser
    from garrison.core.policy import Policy

_ACTIONS = ("update", "status")


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("action", choices=_ACTIONS, metavar="ACTION", help="update: bring advisories in; status: say how old they are")
    add(
        "--from",
        action="append",
        default=[],
        dest="origins",
        metavar="FILE",
        help="a file or directory of advisories in the format of OSV; may be given again",
    )
    add(
        "--database",
        metavar="FILE",
        help="the database (default: the policy's, else $GARRISON_DATABASE or the user's)",
    )
    add("--policy", metavar="FILE", help="the policy (default: the nearest garrison.toml, or [tool.garrison])")
    add("--fresh", action="store_true", help="keep nothing of the database that is there")
    add("--quiet", action="store_true", help="say only what went wrong")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.core.policy_file import load_policy

    policy = load_policy(arguments.policy)
    path = arguments.database or policy.packages.database
    if arguments.action == "update":
        return _update(arguments, path)
    if arguments.origins or arguments.fresh:
        raise UsageError("--from and --fresh belong to `garrison db update`")
    return _status(policy, path, quiet=arguments.quiet)


def _update(arguments: "argparse.Namespace", path: str) -> int:
    from garrison.dependencies.advisories.updating import update

    if not arguments.origins:
        raise UsageError("name files or directories of advisories with --from")

    def say(line: str) -> None:
        if not arguments.quiet:
            terminal.write(f"{_printable(line)}\n")

    outcome = update(arguments.origins, path, fresh=arguments.fresh, say=say)
    for failure in outcome.failures:
        _complain(failure)
    if outcome.changed:
        say(f"written: {outcome.path}")
    return exits.FAILED if outcome.failures else exits.PASSED


def _status(policy: "Policy", path: str, *, quiet: bool) -> int:
    import os

    from garrison.dependencies.advisories.database import Database, DatabaseMissing

    try:
        database = Database.open(path)
    except DatabaseMissing as missing:
        _complain(str(missing))
        return exits.DENIED
    with database:
        lines = [f"{database.path}, {os.path.getsize(database.path):,} bytes"]
        lines += [source.described() for source in database.sources]
    if not quiet:
        terminal.write("".join(f"{_printable(line)}\n" for line in lines))
    return exits.PASSED


def _printable(text: str) -> str:
    from garrison.reporting.text import printable

    return printable(text)


def _complain(text: str) -> None:
    import sys

    print(f"garrison: {_printable(text)}", file=sys.stderr)
