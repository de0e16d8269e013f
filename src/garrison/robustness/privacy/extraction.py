"""Extraction: how many questions buy a copy of the model, and how good a one.

The attacker has part of the data without its labels, asks, and trains a copy on the answers. The rest of the data
tells on how many inputs the copy and the model agree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from garrison.core.errors import GarrisonError, UsageError
from garrison.core.robustness_card import Curve, Extraction, Point, rate
from garrison.robustness.attacks.attack import Progress, generator
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data, Kind
from garrison.robustness.privacy import defences, recipes
from garrison.robustness.privacy.defences import Defence

_EVALUATED = 1000
"""Inputs on which copy and model are compared, at most."""
_REPEATS = 4
"""How often an attacker asks the same of a defence that answers at random."""


@dataclass(eq=False)
class Attacker:
    """What an attacker has so far."""

    pool: Tensor
    """Inputs of the same kind that may be asked for."""
    low: Tensor
    high: Tensor
    """The range that inputs stay in."""
    random: torch.Generator
    asked: list[Tensor] = field(default_factory=list)
    left: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    """Indices of the pool that were not asked for yet, in random order."""
    copy: Classifier | None = None

    def take(self, positions: Tensor) -> Tensor:
        """Inputs of the pool at these positions of `left`, which they leave."""
        chosen = self.left[positions]
        stays = torch.ones(len(self.left), dtype=torch.bool)
        stays[positions] = False
        self.left = self.left[stays]
        return self.pool[chosen]


Choose = Callable[[Attacker, int], Tensor]
"""Which inputs to ask for next, so many at most; none when there are no more."""


@dataclass(frozen=True, eq=False)
class Strategy:
    name: str
    choose: Choose
    linear: bool = False
    """Whether the copy is solved for, as for a linear model, and not trained."""


def in_distribution(attacker: Attacker, count: int) -> Tensor:
    """Natural inputs at random."""
    return attacker.take(torch.arange(min(count, len(attacker.left))))


def uncertain(attacker: Attacker, count: int) -> Tensor:
    """Natural inputs that the copy is least sure of (ActiveThief, Pal et al. 2020, section 4.2)."""
    if attacker.copy is None:
        return in_distribution(attacker, count)
    soft = _answers(attacker.copy, attacker.pool[attacker.left])
    entropy = -(soft * soft.clamp(min=1e-12).log()).sum(1)
    return attacker.take(entropy.argsort(descending=True)[:count])


def jacobian(attacker: Attacker, count: int) -> Tensor:
    """A few natural inputs, then these moved towards where the copy decides otherwise (Papernot et al. 2017, 4.3).

    A copy without gradients has its direction drawn at random.
    """
    if attacker.copy is None:
        return in_distribution(attacker, count)
    known = torch.cat(attacker.asked)
    start = known[torch.randint(len(known), (count,), generator=attacker.random)]
    if attacker.copy.differentiable:
        moving = start.clone().to(attacker.copy.device).requires_grad_()
        with torch.enable_grad():
            top = attacker.copy(moving).max(1).values.sum()
            direction = torch.autograd.grad(top, moving)[0].sign().cpu()
    else:
        direction = torch.randint(0, 2, start.shape, generator=attacker.random) * 2.0 - 1
    sign = torch.randint(0, 2, (count, *[1] * (start.ndim - 1)), generator=attacker.random) * 2.0 - 1
    moved = start + sign * 0.1 * (attacker.high - attacker.low) * direction
    return torch.minimum(torch.maximum(moved, attacker.low), attacker.high)


def noise(attacker: Attacker, count: int) -> Tensor:
    """Noise within the range of the inputs: no data at all."""
    drawn = torch.rand((count, *attacker.pool.shape[1:]), generator=attacker.random)
    return attacker.low + (attacker.high - attacker.low) * drawn


def foreign(data: Data) -> Strategy:
    """Inputs of another source (KnockoffNets, Orekondy et al. 2019). They have the shape of the model's own."""
    inputs = torch.as_tensor(np.asarray(data.inputs, np.float32))

    def choose(attacker: Attacker, count: int) -> Tensor:
        done = sum(map(len, attacker.asked))
        if inputs.shape[1:] != attacker.pool.shape[1:]:
            raise UsageError(f"{data.name}: inputs of the shape {tuple(inputs.shape[1:])}, the model's differ")
        return inputs[done : done + count]

    return Strategy(f"out of distribution ({data.name})", choose)


RANDOM = Strategy("random", in_distribution)
UNCERTAIN = Strategy("most uncertain", uncertain)
JACOBIAN = Strategy("Jacobian augmentation", jacobian)
NOISE = Strategy("noise", noise)
EQUATIONS = Strategy("equation solving", in_distribution, linear=True)
"""Least squares on the log-probabilities: exact for linear models (Tramèr et al. 2016, section 4.1)."""


def strategies(kind: Kind) -> tuple[Strategy, ...]:
    """Those that need nothing but the data."""
    return (RANDOM, UNCERTAIN, JACOBIAN, NOISE) if kind == "image" else (RANDOM, UNCERTAIN, NOISE, EQUATIONS)


def default_defences() -> tuple[Defence, ...]:
    return (defences.rounding(1), defences.labels_only(), defences.reverse_sigmoid())


def measure(
    classifier: Classifier,
    data: Data,
    *,
    model: object = None,
    train: recipes.Train | None = None,
    queries: Sequence[int] = (100, 300, 1000),
    by: Sequence[Strategy] | None = None,
    behind: Sequence[Defence] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[tuple[Extraction, ...], tuple[Curve, ...]]:
    """Copy the classifier by each strategy, then by random questions behind each defence.

    Half of the data, 1,000 inputs at most, is kept for the comparison; an attack that runs out of the other half ends
    early. `train` trains the copies on hard labels; without it they are trained `like(model)`, networks on the
    probabilities. Behind a defence the attacker knows of it: the better of a copy from the answers, one from their
    decisions, and, where answers are random, one from four answers each, which cost four questions, is what counts.
    Cost goes with the sum of `queries`. Returns the card's rows and a curve for each strategy. Raises `UsageError`.
    """
    stops = sorted(set(queries))
    if not stops or stops[0] < 1:
        raise UsageError("extraction takes numbers of queries from 1 on")
    pool, inputs, labels = _parts(classifier, data, seed)
    recipe = recipes.Recipe(train, "the owner's recipe") if train else None
    recipe = recipe or recipes.like(model, data.kind, classifier.classes, tuple(inputs.shape[1:]))
    trial = _Trial(classifier, pool, inputs, labels, recipe, seed)
    chosen = strategies(data.kind) if by is None else by
    guarded = default_defences() if behind is None else behind
    rows: list[Extraction] = []
    curves: list[Curve] = []
    for done, strategy in enumerate(chosen):
        found = trial.run(strategy, stops)
        rows += found
        if found:
            curves.append(_curve(f"extraction: {strategy.name}", found))
        if progress:
            progress((done + 1) / (len(chosen) + len(guarded)))
    for done, defence in enumerate(guarded):
        rows += trial.behind(defence, stops[-1])
        if progress:
            progress((len(chosen) + done + 1) / (len(chosen) + len(guarded)))
    return tuple(rows), tuple(curves)


def exposure(rows: Sequence[Extraction], defence: str = "none") -> Curve:
    """The fidelity that so many queries could have bought, by the best strategy: what a guard may hold against them."""
    best: dict[int, Extraction] = {}
    for row in rows:
        if row.defence == defence and (
            row.queries not in best or row.fidelity.value > best[row.queries].fidelity.value
        ):
            best[row.queries] = row
    found: list[Extraction] = []
    for queries in sorted(best):
        # What was bought with fewer queries is not lost with more.
        row = best[queries]
        if found and found[-1].fidelity.value > row.fidelity.value:
            row = found[-1]
        found.append(row)
    return Curve(
        name="extraction exposure",
        x="queries",
        y="fidelity",
        points=tuple(
            Point(x=queries, y=row.fidelity.value, low=row.fidelity.low, high=row.fidelity.high)
            for queries, row in zip(sorted(best), found, strict=True)
        ),
    )


@dataclass(frozen=True, eq=False)
class _Trial:
    """One model, one attacker's data and one measure of copies."""

    classifier: Classifier
    pool: Tensor
    inputs: Tensor
    labels: Tensor
    recipe: recipes.Recipe
    seed: int
    from_decisions: dict[bytes, Classifier] = field(default_factory=dict)
    """Copies by the decisions that they were trained on: most defences keep them, so one copy serves all."""

    def run(self, strategy: Strategy, stops: Sequence[int]) -> list[Extraction]:
        attacker, answers, rows = self._attacker(), [], []
        for stop in stops:
            chosen = strategy.choose(attacker, stop - sum(map(len, attacker.asked)))
            if not len(chosen):
                break
            attacker.asked.append(chosen)
            answers.append(_answers(self.classifier, chosen))
            attacker.copy = self._copy(torch.cat(attacker.asked), torch.cat(answers), strategy.linear)
            rows.append(
                self._row(strategy.name, defences.NONE, self.classifier, sum(map(len, attacker.asked)), attacker.copy)
            )
        return rows

    def behind(self, defence: Defence, queries: int) -> list[Extraction]:
        """The best that an attacker gets who knows of the defence."""
        guarded = defence.wrap(self.classifier)
        asked = in_distribution(self._attacker(), queries)
        if not len(asked):
            return []
        answers = _answers(guarded, asked)
        key = answers.argmax(1).numpy().tobytes()
        if key not in self.from_decisions:
            self.from_decisions[key] = self._copy(asked, _decided(answers), linear=False)
        copies = {"random, decisions": self.from_decisions[key]}
        if self.recipe.soft and guarded.outputs != "labels":
            copies["random, answers"] = self._copy(asked, answers, linear=False)
        if defence.random:
            few = asked[: max(len(asked) // _REPEATS, 1)]
            mean = torch.stack([_answers(guarded, few) for _ in range(_REPEATS)]).mean(0)
            copies["random, averaged"] = self._copy(few, mean, linear=False)
        rows = [self._row(name, defence, guarded, len(asked), copy) for name, copy in copies.items()]
        return [max(rows, key=lambda row: row.fidelity.value)]

    def _attacker(self) -> Attacker:
        random = generator(self.seed, torch.device("cpu"))
        low, high = (torch.as_tensor(bound).cpu().float() for bound in (self.classifier.low, self.classifier.high))
        return Attacker(self.pool, low, high, random, left=torch.randperm(len(self.pool), generator=random))

    def _copy(self, asked: Tensor, answers: Tensor, linear: bool) -> Classifier:
        if linear:
            return recipes.linear(asked, answers, self.seed)
        decisions = answers.argmax(1)
        if self.recipe.soft:
            return self.recipe.train(asked, answers.float(), self.seed)
        if bool((decisions == decisions[0]).all()):
            # Most estimators refuse a single class; a copy that has seen one knows one.
            only = torch.nn.functional.one_hot(decisions[:1], self.classifier.classes).float()
            return Classifier(
                lambda batch: only.expand(len(batch), -1),
                self.classifier.classes,
                outputs="probabilities",
                differentiable=False,
            )
        return self.recipe.train(asked, decisions, self.seed)

    def _row(self, name: str, defence: Defence, answering: Classifier, queries: int, copy: Classifier) -> Extraction:
        said, truth = (_answers(model, self.inputs).argmax(1) for model in (copy, self.classifier))
        seen = None if defence is defences.NONE else defences.cost(answering, self.inputs, self.labels)
        return Extraction(
            strategy=name,
            defence=defence.name,
            queries=queries,
            fidelity=rate(int((said == truth).sum()), len(truth)),
            accuracy=rate(int((said == self.labels).sum()), len(truth)),
            served_accuracy=seen.accuracy if seen else None,
            served_calibration_error=seen.calibration_error if seen else None,
        )


def _parts(classifier: Classifier, data: Data, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The attacker's inputs, and inputs and labels to compare on."""
    if data.kind == "text":
        raise UsageError("extraction takes images or tables")
    if len(data) < 20:
        raise UsageError(f"{len(data)} inputs are too few; give 20 or more")
    order = np.random.default_rng(seed).permutation(len(data))
    kept = min(len(data) // 2, _EVALUATED)
    inputs = torch.from_numpy(np.asarray(data.inputs, np.float32)[order])
    if not inputs.isfinite().all():
        raise UsageError("among the inputs is what is no number")
    labels = torch.from_numpy(np.asarray(data.labels, np.int64)[order])
    if labels.min() < 0 or labels.max() >= classifier.classes:
        raise UsageError(f"labels go to {int(labels.max())}, but the model has {classifier.classes} classes")
    return inputs[kept:], inputs[:kept], labels[:kept]


def _answers(classifier: Classifier, inputs: Tensor) -> Tensor:
    """Probabilities (n, classes) in float64. Raises `GarrisonError` where they are no number."""
    parts = [
        classifier.soft(classifier.scores(batch.to(classifier.device)).double()).cpu()
        for batch in torch.split(inputs, 512)
    ]
    answers = torch.cat(parts)
    if not answers.isfinite().all():
        raise GarrisonError(f"{classifier.name or 'the model'} answers with what is no number")
    return answers


def _decided(answers: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(answers.argmax(1), answers.shape[1]).to(answers.dtype)


def _curve(name: str, rows: Sequence[Extraction]) -> Curve:
    points = (Point(x=row.queries, y=row.fidelity.value, low=row.fidelity.low, high=row.fidelity.high) for row in rows)
    return Curve(name=name, x="queries", y="fidelity", points=tuple(points))
