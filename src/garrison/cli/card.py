"""Show a robustness card that `garrison attack` wrote, hold it against bounds, or compare it with another.

Exit codes: 0 shown, every bound is kept, nothing is worse; 1 a bound is broken or cannot be decided, or something is
worse; 2 wrong usage, such as a file that is no card.
"""

import sys
from typing import TYPE_CHECKING

from garrison.cli import attack, attack_options, exits, terminal
from garrison.core.errors import UsageError
from garrison.core.files import contents

if TYPE_CHECKING:
    import argparse

    from garrison.cli.arguments import Parser
    from garrison.core.robustness_card import Card

_BYTES = 64 << 20


def configure(parser: "Parser") -> None:
    add = parser.add_argument
    add("action", choices=("show", "compare"), metavar="ACTION", help="show or compare")
    add("cards", nargs="+", metavar="FILE", help="the card; to compare, the one before and the one after")
    add(
        "--format",
        choices=("card", "html", "json"),
        default="card",
        help="how it is written (default: card); to compare, card or json",
    )
    add("--output", "-o", metavar="FILE", help="write it to this file")
    attack_options.add_bounds(parser)
    add("--no-color", action="store_true", help="no colours, as when NO_COLOR is set")


def run(arguments: "argparse.Namespace") -> int:
    if arguments.output == "-":
        arguments.output = None
    if arguments.output:
        terminal.check_writable(arguments.output, arguments.cards)
    wanted = 2 if arguments.action == "compare" else 1
    if len(arguments.cards) != wanted:
        raise UsageError(f"{arguments.action} takes {'two cards' if wanted == 2 else 'one card'}")
    cards = [load(path) for path in arguments.cards]
    return _compare(cards, arguments) if arguments.action == "compare" else _show(cards[0], arguments)


def load(path: str) -> "Card":
    """A card from its file. Raises `UsageError`."""
    from garrison.core.robustness_card import Card
    from garrison.core.robustness_contradictions import contradictions
    from garrison.provenance.strict_json import decoded
    from garrison.provenance.trust import Refused

    try:
        card = decoded(contents(path, _BYTES), Card, "is no robustness card", most=_BYTES)
    except Refused as reason:
        raise UsageError(f"{path}: {reason}") from None
    for contradiction in contradictions(card):
        raise UsageError(f"{path}: the card contradicts itself: {contradiction}")
    return card


def _show(card: "Card", arguments: "argparse.Namespace") -> int:
    judged = attack.judged_by(card, attack.bounds_of(arguments))
    code = exits.PASSED if all(one.answer == "kept" for one in judged) else exits.DENIED
    if arguments.format == "html":
        from garrison.reporting.card import html

        return _written(html.render(card, judged), arguments, code)
    if arguments.format == "json":
        from garrison.reporting.card import json_card

        return _written(json_card.render(card), arguments, code)
    from garrison.reporting.card import table

    return _written(table.render(card, judged, width=terminal.width(), color=_color(arguments)), arguments, code)


def _compare(cards: "list[Card]", arguments: "argparse.Namespace") -> int:
    from garrison.reporting.card import comparison_table
    from garrison.robustness.evaluation.comparison import compare

    found = compare(*cards)
    code = exits.DENIED if any(one.verdict == "worse" for one in found.differences) else exits.PASSED
    if arguments.format == "html":
        raise UsageError("a comparison is written as card or json")
    if arguments.format == "json":
        import msgspec

        return _written(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n", arguments, code)
    return _written(comparison_table.render(found, width=terminal.width(), color=_color(arguments)), arguments, code)


def _color(arguments: "argparse.Namespace") -> bool:
    return not arguments.output and not arguments.no_color and terminal.has_colors(sys.stdout)


def _written(text: str, arguments: "argparse.Namespace", code: int) -> int:
    if arguments.output:
        terminal.write_file(arguments.output, text)
    else:
        terminal.write(text, as_is=arguments.format != "card")
    return code
