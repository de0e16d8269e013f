"""Attack a model before others do, and say how it stands up.

The model is loaded as garrison.load does: what the policy does not let through is not attacked. Exit codes: 0 every
bound is kept and the policy allows what was found; 1 a bound is broken or cannot be decided, or the policy denies; 2
wrong usage, such as data that do not fit the model; 3 the model failed on the way, and the card is not complete.
"""

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.cli.attack_options import configure as configure
from garrison.cli.policy_option import policy_of
from garrison.core.errors import UsageError
from garrison.reporting import renderer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from garrison.core.policy import Policy
    from garrison.core.report import Report
    from garrison.core.robustness_card import Card
    from garrison.core.robustness_verdicts import Bound, Judged
    from garrison.robustness.data import Data
    from garrison.robustness.evaluation.request import Request

_STEPS = 1000
"""Of the progress bar."""


def run(arguments: "argparse.Namespace") -> int:
    need_torch("attacking a model")
    from garrison.artifacts.loading.refusal import LoadRefused
    from garrison.attacking import report
    from garrison.reporting.text import printable
    from garrison.robustness.endpoints.transport import EndpointError

    policy, _ = policy_of(arguments)
    bounds = bounds_of(arguments)
    if arguments.output == "-":
        arguments.output = None
    _check_files(arguments)
    latest: list[Card] = []

    def keep(card: "Card") -> None:
        latest[:] = [card]
        if arguments.card:
            # A disk that is full now may not be at the end; the measurement is worth more than this copy.
            with contextlib.suppress(UsageError):
                _write_card(arguments.card, card)

    interrupted = False
    try:
        with _progress(arguments) as progress:
            card = _attacked(arguments, policy, bounds, progress, keep)
    except KeyboardInterrupt:
        if not latest:
            raise
        card, interrupted = latest[0], True
    except LoadRefused as reason:
        print(f"garrison: not attacked: {printable(str(reason))}", file=sys.stderr)
        return exits.DENIED
    except EndpointError as reason:
        print(f"garrison: {printable(str(reason))}", file=sys.stderr)
        return exits.FAILED
    judged = judged_by(card, bounds, required=True)
    found = report(card, policy)
    with _afterwards() as attempt:
        with attempt:
            if arguments.card:
                _write_card(arguments.card, card)
        with attempt:
            if arguments.html:
                from garrison.reporting.card import html

                terminal.write_file(arguments.html, html.render(card, judged))
        _show(card, judged, found, arguments)
    if interrupted:
        return exits.INTERRUPTED
    if not card.complete:
        print(f"garrison: the card is not complete: {printable(_unfinished(card))}", file=sys.stderr)
    kept = all(one.answer == "kept" for one in judged)
    if not kept or not found.decision.allowed:
        return exits.DENIED
    return exits.PASSED if card.complete else exits.FAILED


def _unfinished(card: "Card") -> str:
    """Why the card is not complete, as far as it says so."""
    return card.notes[-1] if card.model.format == "endpoint" and card.notes else "the model failed on the way"


def _attacked(
    arguments: "argparse.Namespace",
    policy: "Policy",
    bounds: "Sequence[Bound]",
    progress: "Callable[[float, str], None] | None",
    keep: "Callable[[Card], None]",
) -> "Card":
    from garrison.attacking import ADDRESSES, attack, attack_endpoint
    from garrison.robustness.evaluation.gate import require

    served = arguments.model.startswith(ADDRESSES) or arguments.model.endswith(".toml")
    _check_options(arguments, served)
    data, request = _data(arguments, arguments.data, arguments.labels), _request(arguments)
    require(bounds, request, data.kind)
    if arguments.constraints and data.kind != "table":
        raise UsageError("--constraints is for tables")
    low, high = arguments.range or (None, None)
    command = ("garrison", *sys.argv[1:])
    if served:
        return attack_endpoint(
            arguments.model,
            data,
            request,
            low=low,
            high=high,
            outputs=arguments.outputs,
            output=arguments.output_name,
            classes=arguments.classes,
            headers=_headers(arguments),
            queries=arguments.queries,
            journal=arguments.journal,
            command=command,
            progress=progress,
            partial=keep,
        )
    return attack(
        arguments.model,
        data,
        request,
        architecture=arguments.architecture,
        classes=arguments.classes,
        low=low,
        high=high,
        outputs=arguments.outputs,
        device=arguments.device,
        policy=policy,
        command=command,
        progress=progress,
        partial=keep,
    )


def _check_files(arguments: "argparse.Namespace") -> None:
    """Raises `UsageError` for results that could not be written, or in the place of one another or of what is read."""
    read = [
        path
        for path in (
            arguments.model,
            arguments.data,
            arguments.labels,
            arguments.members,
            arguments.constraints,
            arguments.policy,
        )
        if path
    ]
    taken: dict[str, str] = {}
    for option in ("journal", "card", "html", "output"):
        path = getattr(arguments, option)
        if not path:
            continue
        terminal.check_writable(path, read)
        place = os.path.realpath(path)
        if place in taken and (os.path.isfile(path) or not os.path.exists(path)):
            raise UsageError(f"{path}: is the place of --{taken[place]} and of --{option}")
        taken[place] = option


class _Attempt:
    """Remembers the first file that could not be written."""

    def __init__(self) -> None:
        self.failure: UsageError | None = None

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, UsageError):
            self.failure = self.failure or error
            return True
        return False


@contextlib.contextmanager
def _afterwards() -> "Iterator[_Attempt]":
    """Raises what attempts failed with after all is done, so that the result is shown even where it isn't kept."""
    attempt = _Attempt()
    yield attempt
    if attempt.failure is not None:
        raise attempt.failure


def _check_options(arguments: "argparse.Namespace", served: bool) -> None:
    """Raises `UsageError` for options that say nothing of this kind of model."""
    of_files = {"--architecture": arguments.architecture}
    of_endpoints = {
        "--queries": arguments.queries,
        "--journal": arguments.journal,
        "--output-name": arguments.output_name,
        "--header": arguments.headers,
    }
    for name, value in (of_files if served else of_endpoints).items():
        if value:
            raise UsageError(f"{name} is for {'files' if served else 'endpoints'}")


def _headers(arguments: "argparse.Namespace") -> dict[str, str]:
    """Headers out of the environment, since every process can read command lines."""
    found = {}
    for text in arguments.headers:
        name, equals, variable = text.partition("=")
        if not name or not equals or variable not in os.environ:
            raise UsageError(f"--header {text}: write NAME=VARIABLE, with a variable that the environment has")
        found[name] = os.environ[variable]
    return found


def need_torch(what: str) -> None:
    """Raises `UsageError` where the extra is not installed."""
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise UsageError(f"{what} needs PyTorch: pip install 'garrison[robustness]'")


def bounds_of(arguments: "argparse.Namespace") -> "list[Bound]":
    """The bounds that were given, before any work is done."""
    from garrison.robustness.evaluation.gate import bound

    under = [bound(text, "under") for text in arguments.fail_under]
    return under + [bound(text, "over") for text in arguments.fail_over]


def judged_by(card: "Card", bounds: "Sequence[Bound]", *, required: bool = False) -> "tuple[Judged, ...]":
    """What becomes of each bound."""
    from garrison.robustness.evaluation.gate import judge

    return judge(card, bounds, required=required)


def _data(arguments: "argparse.Namespace", path: str, labels: str | None) -> "Data":
    from garrison.robustness.inputs.reading import read

    return read(
        path,
        label=arguments.label,
        labels=labels,
        kind=arguments.kind,
        channels=arguments.channels,
        encoding=arguments.encoding,
        text=arguments.text,
        groups=arguments.groups,
        drop=arguments.drop,
    )


def _request(arguments: "argparse.Namespace") -> "Request":
    from garrison.robustness import budgets
    from garrison.robustness.evaluation.request import PARTS, Request, parts

    return Request(
        budgets=tuple(budgets.parsed(text) for text in arguments.budgets),
        attacks=tuple(arguments.attacks),
        effort=arguments.effort,
        samples=arguments.samples,
        parts=parts(arguments.only) if arguments.only else frozenset(PARTS),
        members=_data(arguments, arguments.members, None) if arguments.members else None,
        detectors=tuple(arguments.detectors),
        attribute=arguments.attribute,
        constraints=arguments.constraints,
        seconds=arguments.time_limit,
        seed=arguments.seed,
    )


@contextlib.contextmanager
def _progress(arguments: "argparse.Namespace") -> "Iterator[Callable[[float, str], None] | None]":
    with terminal.progress(hidden=arguments.quiet) as bar:
        if bar is None:
            yield None
        else:
            yield lambda share, name: bar(int(_STEPS * share), _STEPS, name)


def _write_card(path: str, card: "Card") -> None:
    from garrison.reporting.card import json_card

    terminal.write_file(path, json_card.render(card))


def _show(card: "Card", judged: "Sequence[Judged]", found: "Report", arguments: "argparse.Namespace") -> None:
    if arguments.format == "card":
        from garrison.reporting.card import table

        if arguments.quiet and not arguments.output:
            return
        color = not arguments.output and not arguments.no_color and terminal.has_colors(sys.stdout)
        text = table.render(card, judged, width=terminal.width(), color=color)
    else:
        text = renderer(arguments.format)(found)
    if arguments.output:
        terminal.write_file(arguments.output, text)
    else:
        terminal.write(text, as_is=arguments.format != "card")
