"""The card for a person in a terminal."""

from collections.abc import Iterator, Sequence

from garrison.core.robustness_card import AttackResult, Card, Check, Evasion, Extraction, Inference, Slice
from garrison.core.robustness_verdicts import Judged
from garrison.reporting.card import wording
from garrison.reporting.text import printable, shortened, without_commands, wrap

_SLICES = 5
_ROWS = 12
"""Rows of one table before the rest is counted."""
_TEXT = 600
"""Characters of one remark."""
_NAME = 24
_COLORS = {"passed": "32", "failed": "1;31", "unknown": "33", "kept": "32", "broken": "1;31", "inconclusive": "1;33"}


def render(card: Card, judged: Sequence[Judged] = (), *, width: int = 100, color: bool = False) -> str:
    """What was attacked, accuracy and robust accuracy, what else was measured, the doubts, and what to do next."""
    return "".join(f"{without_commands(line)}\n" for line in _Table(max(width, 60), color).lines(card, judged))


class _Table:
    def __init__(self, width: int, color: bool) -> None:
        self._width = width
        self._color = color

    def lines(self, card: Card, judged: Sequence[Judged]) -> Iterator[str]:
        yield self._paint(printable(card.model.name), "1")
        yield from self._row("Model", wording.model(card.model))
        yield from self._row("Data", f"{card.data.name}: {wording.data(card.data)}; seed {card.seed}")
        clean = card.clean_accuracy
        yield from self._row("Accuracy", f"{wording.share(clean)} ({wording.interval(clean)}) of {clean.of:,}")
        for evasion in card.evasion:
            yield ""
            yield from self._evasion(evasion, card.data.kind)
        if card.costs:
            yield ""
            yield "To somebody who can only ask"
        for row in card.costs[:_ROWS]:
            yield from self._row(f"  {row.attack}", f"{wording.budget(row.budget, card.data.kind)}: {_attack(row)}")
        yield from self._numbers(card)
        yield from self._checks(card.checks)
        for what, why in wording.left_out(card)[:_ROWS]:
            yield from self._row("Left out", f"{what}: {why}")
        for note in card.notes:
            yield from self._row("Note", note)
        if card.advice:
            yield ""
            yield self._paint("What to do next", "1")
            for number, advice in enumerate(card.advice, 1):
                yield from self._text(f"  {number}. ", f"{advice.what}: {advice.why}")
                if advice.how:
                    yield from self._text("     ", advice.how)
        yield ""
        for verdict in judged:
            yield from self._row(
                self._paint(f"{verdict.answer:<{_NAME - 2}}", _COLORS[verdict.answer]),
                f"{verdict.bound}: {verdict.reason}",
                painted=True,
            )
        yield self._paint(shortened(printable(wording.headline(card)), _TEXT), "1")
        if not card.complete:
            yield self._paint("The card is not complete: it was stopped before its end.", "1;33")

    def _evasion(self, evasion: Evasion, kind: str) -> Iterator[str]:
        robust = evasion.robust_accuracy
        most = f"at most {wording.share(robust)} ({wording.interval(robust)})"
        text = f"{most} of {robust.of:,}, {wording.budget(evasion.budget, kind)}"
        yield from self._row("Robust accuracy", text, bold=True)
        for row in evasion.attacks[:_ROWS]:
            yield from self._row(f"  {row.attack}", _attack(row))

    def _numbers(self, card: Card) -> Iterator[str]:
        rows = [*_inference(card), *_extraction(card), *_corruptions(card), *_triggers(card), *_detection(card)]
        rows += [(f"Worst slice: {one.name}", _slice(one)) for one in card.slices[:_SLICES]]
        if rows:
            yield ""
        for name, text in rows:
            yield from self._row(name, text)

    def _checks(self, checks: Sequence[Check]) -> Iterator[str]:
        if not checks:
            return
        # A check of attacks is made under each norm; whoever fails it under one is told below.
        passed = list(dict.fromkeys(check.name for check in checks if check.verdict == "passed"))
        yield ""
        if passed:
            yield from self._row("Checks passed", ", ".join(passed))
        for check in checks:
            if check.verdict != "passed":
                name = self._paint(f"{'Check ' + check.verdict:<{_NAME - 2}}", _COLORS[check.verdict])
                advice = f"; {check.advice}" if check.advice else ""
                yield from self._row(name, f"{check.name}: {check.seen}{advice}", painted=True)

    def _row(self, name: str, text: str, *, bold: bool = False, painted: bool = False) -> Iterator[str]:
        shown = name if painted else printable(shortened(name, 60))
        if not painted and len(shown) > _NAME - 2:
            yield f"{shown}:"
            shown = ""
        first, *rest = wrap(printable(shortened(text, _TEXT)), self._width - _NAME) or [""]
        head = shown if painted else f"{shown:<{_NAME - 2}}"
        yield f"{head}  {self._paint(first, '1') if bold else first}".rstrip()
        yield from (" " * _NAME + line for line in rest)

    def _text(self, head: str, text: str) -> Iterator[str]:
        first, *rest = wrap(printable(shortened(text, _TEXT)), self._width - len(head)) or [""]
        yield head + first
        yield from (" " * len(head) + line for line in rest)

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._color and text else text


def _attack(row: AttackResult) -> str:
    parts = [f"found {row.success.count:,} of {row.success.of:,}, which leaves {wording.share(row.robust_accuracy)}"]
    if row.median_queries is not None and row.access != "gradients":
        parts.append(f"half of them within {row.median_queries:,.0f} queries")
    if row.median_distance is not None and row.budget is not None and row.budget.norm != "linf":
        parts.append(f"median distance {row.median_distance:.3g}")
    parts.append(wording.seconds(row.seconds))
    if row.incomplete:
        parts.append(f"not on all: {row.incomplete}")
    return "; ".join(parts)


def _inference(card: Card) -> Iterator[tuple[str, str]]:
    """The attack that got furthest on each target in full, the others in a line."""
    targets: dict[str, list[Inference]] = {}
    for one in card.inference:
        targets.setdefault(one.target, []).append(one)
    for target, ones in targets.items():
        best, *others = sorted(ones, key=_reach, reverse=True)
        name = "Membership" if target == "membership" else f"Attribute {target}"
        yield name, f"{best.attack}: {', '.join(_inferred(best))}"
        if others:
            weaker = (f"{one.attack.partition(',')[0]} {_inferred(one)[-1]}" for one in others)
            yield "  weaker", "; ".join(weaker)
        # What is wrong with the game is wrong for every attack in it.
        for said in dict.fromkeys(
            f"{check.name} {check.verdict}: {check.seen}"
            for one in ones
            for check in one.checks
            if check.verdict != "passed"
        ):
            yield "  in doubt", said


def _reach(one: Inference) -> tuple[float, float, float]:
    """How far an attack got: at the lowest rate of false positives, then by its curve, then by its guesses."""
    lowest = min(one.true_positives, key=float, default="")
    return (
        one.true_positives[lowest].value if lowest else 0.0,
        one.auc.value if one.auc else 0.0,
        one.accuracy.value if one.accuracy else 0.0,
    )


def _inferred(one: Inference) -> list[str]:
    """What an attack learnt, the most telling number last."""
    parts = [f"AUC {wording.estimate(one.auc)}"] if one.auc else []
    parts += [
        f"{wording.estimate(found, percent=True)} of members at {wording.false_positives(rate)}"
        for rate, found in sorted(one.true_positives.items(), key=lambda item: -float(item[0]))
    ]
    if one.accuracy is not None:
        guess = f"; guessing gets {100 * one.baseline:.1f} %" if one.baseline is not None else ""
        parts.append(f"right on {wording.share(one.accuracy)} ({wording.interval(one.accuracy)}){guess}")
    return parts


def _extraction(card: Card) -> Iterator[tuple[str, str]]:
    """The best copy of each strategy, and of what stands against it the best behind each defence."""
    best: dict[tuple[str, str], Extraction] = {}
    for one in card.extraction:
        key = (one.strategy, "") if one.defence == "none" else ("", one.defence)
        if key not in best or one.fidelity.value > best[key].fidelity.value:
            best[key] = one
    title = "Extraction"
    for one in list(best.values())[:_ROWS]:
        how = f"by {one.strategy}" if one.defence == "none" else f"behind {one.defence}"
        yield title, f"{how}: {one.queries:,} queries buy a copy that agrees on {wording.share(one.fidelity)}"
        title = ""


def _corruptions(card: Card) -> Iterator[tuple[str, str]]:
    if card.corruptions:
        mean = sum(one.accuracy.value for one in card.corruptions) / len(card.corruptions)
        worst = min(card.corruptions, key=lambda one: one.accuracy.value)
        text = f"{100 * mean:.1f} % right on average over {len(card.corruptions)} kinds and degrees of damage; "
        yield "Corruptions", text + f"worst {worst.name} {worst.severity}: {wording.share(worst.accuracy)}"


def _triggers(card: Card) -> Iterator[tuple[str, str]]:
    if card.triggers:
        worst = max(card.triggers, key=lambda one: one.anomaly_index)
        suspected = [one.label for one in card.triggers if one.suspected]
        seen = f"suspected for {', '.join(suspected)}" if suspected else "none suspected"
        yield "Backdoor", f"{seen}; highest anomaly index {worst.anomaly_index:.1f} (class {worst.label})"


def _detection(card: Card) -> Iterator[tuple[str, str]]:
    for one in card.detection[:_ROWS]:
        rates = ", ".join(
            f"{wording.estimate(found, percent=True)} at {wording.false_positives(rate)}"
            for rate, found in one.true_positives.items()
        )
        evades = f"; {wording.share(one.evades_both)} evade model and detector" if one.evades_both else ""
        knows = ", which knows of it" if one.adaptive else ""
        yield f"Detector {one.detector}", f"{one.attack}{knows}: AUROC {wording.estimate(one.auroc)}, {rates}{evades}"


def _slice(one: Slice) -> str:
    robust = f", at most {wording.share(one.robust)} under attack (of {one.robust.of})" if one.robust else ""
    return f"right on {wording.share(one.clean)} (of {one.clean.of}){robust}"
