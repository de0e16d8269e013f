"""Examine models, packages, images and hosts, and say whether policy lets them through.

Nothing that is examined is executed.
"""

import sys
from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.cli.arguments import Parser, positive
from garrison.cli.policy_option import add_policy, policy_of
from garrison.reporting import RENDERERS, renderer

if TYPE_CHECKING:
    import argparse

    from garrison.core.report import Report


def configure(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a file, a directory, an archive, an image (docker:// or oci://) or host:; - is standard input",
    )
    add("--format", choices=tuple(RENDERERS), default="table", help="how the report is written (default: table)")
    add(
        "--output",
        "-o",
        metavar="FILE",
        help="write the report to this file, and only the verdict to the terminal; - is standard output",
    )
    add_policy(parser)
    add("--root", metavar="DIR", help="with host:, a root file system in place of the running one")
    add("--jobs", type=positive, metavar="N", help="worker processes (default: one for each core)")
    add(
        "--online",
        action="store_true",
        help="ask the package index how current the packages are; what it says is kept for scans without",
    )
    add("--digests", action="store_true", help="put the SHA-256 of each file into the inventory")
    add("--quiet", action="store_true", help="show no progress, no table and no verdict; the exit code tells")
    add("--no-color", action="store_true", help="no colours, as when NO_COLOR is set")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.scanning import ScanInterrupted, scan

    policy, origin = policy_of(arguments)
    if arguments.output == "-":
        arguments.output = None
    if arguments.root:
        arguments.paths = [f"host:{arguments.root}" if path == "host:" else path for path in arguments.paths]
    if arguments.output:
        terminal.check_writable(arguments.output, arguments.paths)
    interrupted = False
    try:
        with terminal.progress(hidden=arguments.quiet) as progress:
            report = scan(
                arguments.paths,
                policy,
                progress=progress,
                jobs=arguments.jobs,
                digests=arguments.digests,
                online=arguments.online,
            )
    except ScanInterrupted as stopped:
        report = stopped.report
        interrupted = True
    if origin:
        report = _noted(report, f"The policy is from {origin}.")
    _show(report, arguments)
    if interrupted:
        return exits.INTERRUPTED
    return exits.PASSED if report.decision.allowed else exits.DENIED


def _noted(report: "Report", note: str) -> "Report":
    import msgspec.structs

    return msgspec.structs.replace(report, notes=(*report.notes, note))


def _show(report: "Report", arguments: "argparse.Namespace") -> None:
    to_terminal = not arguments.output
    if to_terminal and arguments.quiet and arguments.format == "table":
        return
    if arguments.format == "table":
        color = to_terminal and not arguments.no_color and terminal.has_colors(sys.stdout)
        text = renderer("table")(report, width=terminal.width(), color=color)
    else:
        text = renderer(arguments.format)(report)
    if to_terminal:
        terminal.write(text, as_is=arguments.format != "table")
        return
    terminal.write_file(arguments.output, text)
    if not arguments.quiet:
        from garrison.reporting.table import one_line

        print(one_line(report), file=sys.stderr)
