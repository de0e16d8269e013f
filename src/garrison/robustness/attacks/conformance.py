"""What every attack must hold to, for whoever writes one.

    check_attack(MyAttack(norm="l2"), epsilons=(0.5, 2.0))

runs the attack on a small model and raises `AssertionError` with what does not hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from garrison.core.errors import GarrisonError
from garrison.robustness.attacks.attack import TOLERANCE, Attack, Outcome
from garrison.robustness.classifier import Classifier
from garrison.robustness.distances import distance


@dataclass(frozen=True, eq=False)
class World:
    """A model and labelled inputs to attack."""

    classifier: Classifier
    inputs: Tensor
    labels: Tensor


def small_world(*, classes: int = 5, count: int = 24, shape: tuple[int, ...] = (1, 6, 6), seed: int = 0) -> World:
    """A small smooth network, and inputs from 0 to 1 of which every eighth has a wrong label."""
    noise = torch.Generator().manual_seed(seed)
    features = int(torch.Size(shape).numel())
    first = torch.randn(features, 16, generator=noise) / features**0.5 * 3
    second = torch.randn(16, classes, generator=noise)

    def forward(inputs: Tensor) -> Tensor:
        hidden: Tensor = ((inputs.flatten(1) - 0.5) @ first).tanh()
        return hidden @ second

    classifier = Classifier(forward, classes, name="small world")
    inputs = torch.rand(count, *shape, generator=noise)
    labels = classifier.labels(inputs)
    labels[::8] = (labels[::8] + 1) % classes
    return World(classifier, inputs, labels)


def check_attack(attack: Attack, *, epsilons: Sequence[float], world: World | None = None) -> None:
    """Raise `AssertionError` with what an attack does not hold to.

    `epsilons`: two budgets or more under which it is to find something in `world`, or in the small one otherwise,
    whose inputs are (1, 6, 6) from 0 to 1.
    """
    world = world or small_world()
    budgets = tuple(sorted(epsilons))
    assert len(budgets) > 1, "give two budgets or more"
    outcome = _attacked(attack, world, budgets)
    _check_outcome(attack, world, budgets, outcome)
    again = _attacked(attack, world, budgets[::-1])
    _hold(
        torch.equal(outcome.adversarial, again.adversarial) and torch.equal(outcome.queries, again.queries),
        "the same seed gives another outcome, or the order of budgets does",
    )
    _check_bounds_of_features(attack, world, budgets)
    _check_sizes(attack, world, budgets)
    _check_refusals(attack, world, budgets)


def _hold(holds: bool | Tensor, broken: str) -> None:
    assert bool(holds), broken


def _attacked(attack: Attack, world: World, epsilons: Sequence[float]) -> Outcome:
    """The outcome, after a check that nothing else was changed."""
    inputs, labels, state = world.inputs.clone(), world.labels.clone(), torch.random.get_rng_state()
    shares: list[float] = []
    outcome = attack(world.classifier, world.inputs, world.labels, epsilons, seed=7, progress=shares.append)
    _hold(torch.equal(inputs, world.inputs), "the inputs were changed")
    _hold(torch.equal(labels, world.labels), "the labels were changed")
    _hold(torch.equal(state, torch.random.get_rng_state()), "the global random state was changed")
    _hold(not outcome.adversarial.requires_grad, "adversarial inputs still ask for gradients")
    _hold(shares == sorted(shares) and all(0 <= share <= 1 for share in shares), "progress is not from 0 to 1, rising")
    return outcome


def _check_outcome(attack: Attack, world: World, epsilons: tuple[float, ...], outcome: Outcome) -> None:
    classifier, inputs, labels = world.classifier, world.inputs, world.labels
    count = len(inputs)
    _hold(attack.norm in attack.norms, f"{attack.norm} is none of its norms")
    _hold(outcome.epsilons == epsilons, f"epsilons are {outcome.epsilons}, not {epsilons}")
    shape = (len(epsilons), count)
    _hold(outcome.adversarial.shape == (*shape, *inputs.shape[1:]), f"adversarial is {outcome.adversarial.shape}")
    _hold(outcome.success.shape == shape and outcome.success.dtype == torch.bool, "success is not (E, n) bool")
    _hold(outcome.found_after.shape == shape, "found_after is not (E, n)")
    _hold(outcome.queries.shape == outcome.gradients.shape == (count,), "queries and gradients are not both (n,)")

    correct = classifier.labels(inputs) == labels
    _hold(outcome.success[:, ~correct].all(), "an input that is misclassified already does not succeed")
    _hold(
        (outcome.adversarial[:, ~correct] == inputs[~correct]).all(), "an input that is misclassified already is moved"
    )
    _hold(outcome.success[-1, correct].any(), f"nothing is found within {epsilons[-1]}: the rest can't be checked")
    _hold((outcome.success[:-1] <= outcome.success[1:]).all(), "success under a budget is none under a larger one")
    _hold(((outcome.found_after >= 0) == outcome.success).all(), "found_after and success contradict each other")
    _hold((outcome.found_after <= outcome.queries).all(), "something was found after the last query")
    if attack.access == "gradients":
        _hold((outcome.gradients[correct] > 0).all(), "gradients were used and not counted")
    for epsilon, adversarial, success in zip(epsilons, outcome.adversarial, outcome.success, strict=True):
        _check_points(attack, world, epsilon, adversarial, success)


def _check_points(attack: Attack, world: World, epsilon: float, adversarial: Tensor, success: Tensor) -> None:
    classifier, inputs = world.classifier, world.inputs
    _hold(adversarial.isfinite().all(), "adversarial inputs are not finite")
    _hold((classifier.clip(adversarial) == adversarial).all(), "the bounds are left")
    _hold((adversarial[~success] == inputs[~success]).all(), "an input for which nothing was found is moved")
    wrong = classifier.labels(adversarial) != world.labels
    _hold(wrong[success].all(), f"a success within {epsilon} does not fool the model")
    longest = float(distance(attack.norm, adversarial - inputs).max())
    _hold(longest <= epsilon * (1 + TOLERANCE) + 1e-7, f"a perturbation is {longest} long, beyond {epsilon}")


def _check_bounds_of_features(attack: Attack, world: World, epsilons: tuple[float, ...]) -> None:
    """Some entries may not move at all, and some not far."""
    shape = world.inputs.shape[1:]
    free = torch.arange(world.inputs[0].numel()).reshape(shape) % 3
    low, high = (free == 0) * 0.5, 1 - (free == 0) * 0.5 - (free == 1) * 0.3
    classifier = Classifier(world.classifier.forward, world.classifier.classes, low, high, name="bounds of features")
    inputs = classifier.clip(world.inputs)
    bounded = World(classifier, inputs, classifier.labels(inputs))
    outcome = _attacked(attack, bounded, epsilons)
    for epsilon, adversarial, success in zip(epsilons, outcome.adversarial, outcome.success, strict=True):
        _check_points(attack, bounded, epsilon, adversarial, success)


def _check_sizes(attack: Attack, world: World, epsilons: tuple[float, ...]) -> None:
    for count in (1, 0):
        outcome = _attacked(
            attack, World(world.classifier, world.inputs[1:][:count], world.labels[1:][:count]), epsilons
        )
        _hold(outcome.success.shape == (len(epsilons), count), f"{count} inputs give {tuple(outcome.success.shape)}")


def _check_refusals(attack: Attack, world: World, epsilons: tuple[float, ...]) -> None:
    holed = world.inputs.clone()
    holed.flatten()[3] = torch.nan
    cases: dict[str, tuple[Tensor, Tensor, Sequence[float]]] = {
        "NaN in the inputs": (holed, world.labels, epsilons),
        "a label beyond the classes": (world.inputs, world.labels + world.classifier.classes, epsilons),
        "a negative label": (world.inputs, world.labels - world.classifier.classes, epsilons),
        "inputs beyond the bounds": (
            world.inputs + world.classifier.high - world.classifier.low,
            world.labels,
            epsilons,
        ),
        "fewer labels than inputs": (world.inputs, world.labels[1:], epsilons),
        "no budget": (world.inputs, world.labels, ()),
        "a negative budget": (world.inputs, world.labels, (-1.0,)),
        "a budget without end": (world.inputs, world.labels, (torch.inf,)),
    }
    for case, (inputs, labels, budgets) in cases.items():

        def attacked(inputs: Tensor = inputs, labels: Tensor = labels, budgets: Sequence[float] = budgets) -> None:
            attack(world.classifier, inputs, labels, budgets, seed=0)

        _hold(_refuses(attacked), f"{case} is not refused with a GarrisonError")


def _refuses(act: Callable[[], None]) -> bool:
    try:
        act()
    except GarrisonError:
        return True
    return False
