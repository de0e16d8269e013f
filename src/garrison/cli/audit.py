"""Verify and read a guard's audit log.

`verify` says whether a log is as the guard wrote it, up to where it is signed, and what is behind that; `show` prints
what it says, without verifying it; `open` opens the sealed sample of a call. Exit codes: 0 it verifies; 1 it does not,
or the sample does not open; 2 wrong usage; 3 garrison itself failed.
"""

import argparse
import datetime
import functools
import io
import sys
from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from garrison.cli.arguments import Parser
    from garrison.serving.record.entries import AnyEntry
    from garrison.serving.record.verification import Verdict

_SAMPLE_BYTES = 1 << 30


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("action", choices=tuple(_ACTIONS), metavar="ACTION", help="verify, show or open")
    add("paths", nargs="+", metavar="LOG|SAMPLE", help="directories of logs, or segments; open: a sealed sample")
    add(
        "--public-key",
        action="append",
        default=[],
        metavar="FILE",
        help="verify: a key that checkpoints are signed with, in PEM; repeatable, for keys that were changed",
    )
    add("--anchor", metavar="FILE", default="", help="verify: checkpoints that were kept elsewhere")
    add(
        "--from-checkpoint",
        metavar="N",
        type=int,
        default=0,
        help="verify: begin with the checkpoint that is record N, and leave out what is before it",
    )
    add("--principal", metavar="PATTERN", default="", help="show: of these callers")
    add("--model", metavar="PATTERN", default="", help="show: of these models")
    add(
        "--refused",
        metavar="PATTERN",
        nargs="?",
        const="*",
        default="",
        help="show: calls that were refused, for these reasons",
    )
    add("--incidents", action="store_true", help="show: incidents")
    add("--since", metavar="TIME", type=_time, default=float("-inf"), help="show: from 2026-12-01T06:00:00Z on")
    add("--until", metavar="TIME", type=_time, default=float("inf"), help="show: before that time")
    add("--identity", "-i", action="append", default=[], metavar="FILE", help="open: a file of identities; repeatable")
    add("--output", "-o", metavar="FILE", default="-", help="open: the body that the server was sent (default: `-`)")
    add("--format", choices=("text", "json"), default="text", help="how it is written (default: text)")


def run(arguments: "argparse.Namespace") -> int:
    return _ACTIONS[arguments.action](arguments)


def _verify(arguments: "argparse.Namespace") -> int:
    from garrison.provenance.keys import load_public_key
    from garrison.serving.record.verification import verify

    if len(arguments.paths) > 1 and (arguments.anchor or arguments.from_checkpoint):
        raise UsageError("--anchor and --from-checkpoint are of one log; name one")
    if arguments.from_checkpoint < 0:
        raise UsageError("--from-checkpoint: records are numbered from 1")
    keys = [load_public_key(path) for path in arguments.public_key]
    verdicts = [
        verify(path, keys, anchor=arguments.anchor, from_checkpoint=arguments.from_checkpoint)
        for path in arguments.paths
    ]
    if arguments.format == "json":
        import msgspec

        terminal.write(msgspec.json.format(msgspec.json.encode(verdicts)).decode() + "\n", as_is=True)
    else:
        terminal.say(*(line for verdict in verdicts for line in _words(verdict)))
    return exits.DENIED if any(verdict.problem for verdict in verdicts) else exits.PASSED


def _words(verdict: "Verdict") -> "Iterator[str]":
    if verdict.problem is None:
        yield f"{verdict.path}: verified, {_records(verdict)}"
    else:
        problem = verdict.problem
        where = f"{problem.file} line {problem.line}" if problem.line else problem.file
        yield f"{verdict.path}: DOES NOT VERIFY"
        yield f"  {where}" + (f", record {problem.record:,}" if problem.record else "") + f": {problem.reason}"
        yield f"  before that verifies: {_records(verdict)}"
    if verdict.log:
        yield f"  log {verdict.log} of {verdict.guard}, {_moment(verdict.began)} to {_moment(verdict.ended)}"
    if verdict.absent:
        yield f"  segments 1 to {verdict.absent:,} were deleted since they were old, as the log says"
    if verdict.signatures == "unchecked":
        yield "  signatures were not checked: name the guard's key with --public-key"
    elif verdict.verified:
        behind = f"{verdict.unsigned:,} records behind it are chained only" if verdict.unsigned else "to the end"
        yield f"  signed up to record {verdict.signed:,}, {behind}" if verdict.signed else "  nothing is signed"
    if verdict.anchored:
        yield f"  anchored up to record {verdict.anchored:,}"
    if verdict.problem is None and not verdict.stopped:
        yield "  the guard runs, or it was killed: the log does not end with its stop"
    yield from (f"  warning: {warning}" for warning in verdict.warnings)


def _records(verdict: "Verdict") -> str:
    if not verdict.verified:
        return "no record"
    return f"{verdict.verified:,} records, {verdict.first:,} to {verdict.last:,}"


def _show(arguments: "argparse.Namespace") -> int:
    from garrison.serving.record.reading import Criteria, Unread, read

    criteria = Criteria(
        principal=arguments.principal,
        model=arguments.model,
        refused=arguments.refused,
        incidents=arguments.incidents,
        since=arguments.since,
        until=arguments.until,
    )
    unread = 0
    for path in arguments.paths:
        for found in read(path, criteria):
            if isinstance(found, Unread):
                unread += 1
                continue
            n, line, entry = found
            if arguments.format == "json":
                terminal.write_bytes(line + b"\n")
            else:
                terminal.say(f"{n:>9}  {_moment(entry.time)}  {_line(entry)}")
    if unread:
        print(f"could not be read: {unread:,} of the lines; `garrison audit verify` says where", file=sys.stderr)
    return exits.PASSED


def _line(entry: "AnyEntry") -> str:
    from garrison.serving.record.entries import CallEntry, IncidentEntry

    kind = type(entry).__name__.removesuffix("Entry").lower()
    if isinstance(entry, CallEntry):
        model = f"{entry.model}:{entry.version}" if entry.version else entry.model
        words = [entry.id, entry.principal, entry.action, model, str(entry.status)]
        if entry.refused:
            words.append(f"refused: {entry.refused}")
        words += [f"{mark.rule} {mark.message}".strip() for mark in entry.marks]
        return "  ".join([f"{kind:<10}", *filter(None, words)])
    if isinstance(entry, IncidentEntry):
        over = "over: " if entry.resolved else ""
        about = " ".join(filter(None, (entry.model, entry.principal, entry.call)))
        return f"{kind:<10}  {entry.severity}  {entry.rule}  {over}{entry.message}  {about}".rstrip()
    values = ((name, getattr(entry, name)) for name in entry.__struct_fields__ if name not in ("time", "key", "log"))
    return "  ".join([f"{kind:<10}", *(f"{name} {value}" for name, value in values if value != "")])


def _open(arguments: "argparse.Namespace") -> int:
    import msgspec

    from garrison.cli.passphrases import passphrase
    from garrison.cli.sealed_streams import output_to
    from garrison.core.files import contents
    from garrison.provenance.sealing.identities import identity_file
    from garrison.provenance.sealing.sealed_file import unseal
    from garrison.provenance.trust import Refused
    from garrison.reporting.text import printable
    from garrison.serving.record.samples import FORMAT, Sample

    if len(arguments.paths) != 1:
        raise UsageError("open: one sample at a time")
    if not arguments.identity:
        raise UsageError("open: nothing to open it with: name an identity file with -i")
    (path,) = arguments.paths
    sealed = contents(path, _SAMPLE_BYTES)
    identities = [
        one
        for file in arguments.identity
        for one in identity_file(file, functools.partial(passphrase, f"Passphrase of {file}: "))
    ]
    opened = io.BytesIO()
    try:
        unseal(io.BytesIO(sealed), opened, identities)
        sample = msgspec.json.decode(opened.getvalue(), type=Sample)
        if sample.format != FORMAT:
            raise Refused(f"the format is {sample.format!r}, and {FORMAT} is read here")
    except (Refused, msgspec.DecodeError, UnicodeDecodeError) as error:
        said = error if isinstance(error, Refused) else "what is sealed is no sample of a call"
        print(f"refused: {printable(path)}: {printable(str(said))}", file=sys.stderr)
        return exits.DENIED
    text = arguments.format == "json"
    data = opened.getvalue() + b"\n" if text else sample.body
    with output_to(arguments.output, force=False, text=text or _is_text(data)) as target:
        target.write(data)
    return exits.PASSED


def _is_text(data: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\n\r" for byte in data)


def _moment(seconds: float) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")[:23] + "Z"
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g} s"


def _time(text: str) -> float:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-12-01T06:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


_ACTIONS = {"verify": _verify, "show": _show, "open": _open}
