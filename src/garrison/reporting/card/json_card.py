"""The card as JSON, to be kept, compared and attested."""

import msgspec

from garrison.core.robustness_card import Card


def render(card: Card) -> str:
    """The whole card, as `garrison.core.robustness_card.Card` says; indented for people who look."""
    return msgspec.json.format(msgspec.json.encode(card), indent=1).decode() + "\n"
