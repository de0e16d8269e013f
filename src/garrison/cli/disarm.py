"""Rebuild a model as safetensors: its tensors and plain values, without whatever it could do.

Nothing of the model is imported, called or unpickled. What could not be carried over is listed. Exit
codes: 0 rebuilt; 1 nothing could be carried over, and nothing was written; 2 wrong usage.
"""

import os
import sys
from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.cli.arguments import Parser
from garrison.core.errors import ExaminationError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from garrison.artifacts.disarm import Disarmed, Left

_SHOWN = 20


def configure(parser: Parser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a PyTorch checkpoint, a pickle, a file of joblib, NumPy or Keras")
    add("--output", "-o", metavar="FILE", required=True, help="the safetensors file to write")
    add("--force", action="store_true", help="replace the output if it is there already")
    add("--format", choices=("text", "json"), default="text", help="how the result is written (default: text)")


def run(arguments: "argparse.Namespace") -> int:
    from garrison.artifacts.disarm import disarm
    from garrison.reporting.text import printable

    if arguments.output == "-":
        raise UsageError("-o: name a file; what was done is told on the standard output")
    terminal.check_writable(arguments.output)
    if os.path.lexists(arguments.output) and not arguments.force:
        raise UsageError(f"{arguments.output}: is there already; --force replaces it")
    try:
        outcome = disarm(arguments.model, arguments.output)
    except ExaminationError as error:
        print(f"garrison: {printable(f'{arguments.model}: {error}')}; nothing was written", file=sys.stderr)
        return exits.DENIED
    if arguments.format == "json":
        import msgspec

        terminal.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n", as_is=True)
    else:
        terminal.say(*_lines(arguments.output, outcome))
    return exits.PASSED


def _lines(output: str, outcome: "Disarmed") -> "Iterator[str]":
    count = len(outcome.left) + outcome.unlisted
    yield (
        f"{output}: {_counted(len(outcome.tensors), 'tensor')} of {_counted(outcome.size, 'byte')}, "
        f"{_counted(len(outcome.values), 'plain value')}; {f'{count:,}' if count else 'nothing'} left behind"
    )
    groups: dict[str, list[Left]] = {}
    for one in outcome.left:
        groups.setdefault(one.reason, []).append(one)
    for reason, alike in list(groups.items())[:_SHOWN]:
        path, place = alike[0].path, alike[0].place
        more = f", and {len(alike) - 1:,} more like it" if len(alike) > 1 else ""
        yield "  " + " ".join(part for part in (f"{path}:" if path else "", reason, place) if part) + more
    if len(groups) > _SHOWN or outcome.unlisted:
        yield f"  and more; --format json lists {len(outcome.left):,}"
    for note in outcome.notes:
        yield f"Note  {note}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
