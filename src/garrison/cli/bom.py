"""Write a bill of materials of models, data sets, packages and files, as far as the files tell.

Nothing that is examined is executed.
"""

import sys
from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.cli.arguments import Parser, positive

if TYPE_CHECKING:
    import argparse

    from garrison.core.report import Report

_NAMED = 5


def configure(parser: Parser) -> None:
    from garrison.describing import FORMATS

    add = parser.add_argument
    add(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a file, a directory, an archive, an image, or a host: as scan takes it",
    )
    add(
        "--format",
        choices=FORMATS,
        default="cyclonedx",
        help="CycloneDX 1.6 or 1.7, or SPDX 3.0.1 with its profiles of AI and data sets (default: cyclonedx)",
    )
    add("--output", "-o", metavar="FILE", help="write it to this file; - is standard output (the default)")
    add("--policy", metavar="FILE", help="the policy, for its limits and what it excludes (default: as scan finds it)")
    add("--jobs", type=positive, metavar="N", help="worker processes (default: one for each core)")
    add("--quiet", action="store_true", help="show no progress, and do not say what could not be read")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.core.policy_file import load_policy
    from garrison.describing import describe

    if arguments.output == "-":
        arguments.output = None
    if arguments.output:
        terminal.check_writable(arguments.output, arguments.paths)
    policy = load_policy(arguments.policy)
    with terminal.progress(hidden=arguments.quiet) as progress:
        text, report = describe(arguments.paths, arguments.format, policy, progress=progress, jobs=arguments.jobs)
    if arguments.output:
        terminal.write_file(arguments.output, text)
    else:
        terminal.write(text, as_is=True)
    if not arguments.quiet:
        _say_what_is_missing(report)
    return exits.PASSED


def _say_what_is_missing(report: "Report") -> None:
    """What could not be read may hold more than the bill says."""
    from garrison.reporting.text import printable

    gaps = [entry for entry in report.coverage.entries if entry.state in ("failed", "partial")]
    for entry in gaps[:_NAMED]:
        print(f"garrison: incomplete: {printable(f'{entry.subject}: {entry.reason}')}", file=sys.stderr)
    if len(gaps) > _NAMED:
        print(f"garrison: incomplete: and {len(gaps) - _NAMED} more, as the bill says", file=sys.stderr)
