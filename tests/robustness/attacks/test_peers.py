"""The same attack through the peer libraries: nothing weaker, and the same points where the rules are the same."""

import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from garrison.core.robustness_card import Norm
from garrison.robustness.attacks.apgd import APGDCE, APGDT
from garrison.robustness.attacks.attack import Attack
from garrison.robustness.attacks.fab import FABT
from garrison.robustness.attacks.pgd import PGD
from garrison.robustness.classifier import of_module

from ..conftest import Digits

COUNT = 120
EPSILON: dict[Norm, float] = {"linf": 0.1, "l2": 0.5, "l1": 2.0}
STEP: dict[Norm, float] = {"linf": 0.02, "l2": 0.1, "l1": 0.4}


@pytest.fixture(autouse=True)
def _peers_may_warn_and_seed() -> Iterator[None]:
    import numpy

    state = numpy.random.get_state()
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        numpy.random.seed(0)
        yield
    numpy.random.set_state(state)


@pytest.fixture
def some(digits: Digits, digits_network: nn.Module) -> tuple[Tensor, Tensor]:
    """Test images that the network has right."""
    images, labels = digits.test[: COUNT * 2], digits.test_labels[: COUNT * 2]
    right = digits_network(images).argmax(1) == labels
    return images[right][:COUNT], labels[right][:COUNT]


def found(attack: Attack, network: nn.Module, images: Tensor, labels: Tensor) -> int:
    outcome = attack(of_module(network, 10), images, labels, [EPSILON[attack.norm]], seed=0)
    return int(outcome.success.sum())


def fooled(network: nn.Module, points: Tensor, labels: Tensor) -> int:
    return int((network(points).argmax(1) != labels).sum())


def by_foolbox(network: nn.Module, images: Tensor, labels: Tensor, norm: Norm, steps: int, start: bool) -> Tensor:
    foolbox = pytest.importorskip("foolbox")
    kind = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    attack = kind(steps=steps, abs_stepsize=STEP[norm], random_start=start)
    _, points, _ = attack(model, images, labels, epsilons=EPSILON[norm])
    return points.detach()


def by_torchattacks(network: nn.Module, images: Tensor, labels: Tensor, norm: Norm, steps: int, start: bool) -> Tensor:
    torchattacks = pytest.importorskip("torchattacks")
    kind = {"linf": torchattacks.PGD, "l2": torchattacks.PGDL2}[norm]
    points: Tensor = kind(network, eps=EPSILON[norm], alpha=STEP[norm], steps=steps, random_start=start)(images, labels)
    return points.detach()


def by_art(network: nn.Module, images: Tensor, labels: Tensor, norm: Norm, steps: int, start: bool) -> Tensor:
    pytest.importorskip("art")
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    model = PyTorchClassifier(network, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu")
    attack = ProjectedGradientDescent(
        model,
        norm={"linf": "inf", "l2": 2}[norm],
        eps=EPSILON[norm],
        eps_step=STEP[norm],
        max_iter=steps,
        num_random_init=int(start),
        verbose=False,
    )
    return torch.from_numpy(attack.generate(images.numpy(), labels.numpy()))


PEERS = pytest.mark.parametrize("peer", [by_foolbox, by_torchattacks, by_art])
Peer = Callable[[nn.Module, Tensor, Tensor, Norm, int, bool], Tensor]


@PEERS
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_finds_what_peers_find(
    peer: Peer, norm: Norm, digits_network: nn.Module, some: tuple[Tensor, Tensor]
) -> None:
    theirs = fooled(digits_network, peer(digits_network, *some, norm, 20, True), some[1])
    ours = found(PGD(norm=norm, steps=20, step=STEP[norm]), digits_network, *some)
    assert 0 < theirs < COUNT
    assert theirs - 1 <= ours <= theirs + 4


@PEERS
def test_pgd_without_chance_takes_the_same_steps(
    peer: Peer, digits_network: nn.Module, some: tuple[Tensor, Tensor]
) -> None:
    """Whatever fools the model in the last step and not before is the same point."""
    attack = PGD(steps=4, step=STEP["linf"], random_start=False)
    outcome = attack(of_module(digits_network, 10), *some, [EPSILON["linf"]], seed=0)
    last = outcome.found_after[0] == 1 + 4 + 1
    assert last.any()
    points = peer(digits_network, *some, "linf", 4, False)
    torch.testing.assert_close(outcome.adversarial[0, last], points[last], atol=1e-5, rtol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_auto_pgd_finds_what_torchattacks_finds(
    norm: Norm, digits_network: nn.Module, some: tuple[Tensor, Tensor]
) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    name = {"linf": "Linf", "l2": "L2"}[norm]
    for theirs, ours in (
        (torchattacks.APGD(digits_network, norm=name, eps=EPSILON[norm], steps=30), APGDCE(norm=norm, steps=30)),
        (
            torchattacks.APGDT(digits_network, norm=name, eps=EPSILON[norm], steps=30, n_classes=4),
            APGDT(norm=norm, steps=30, targets=3),
        ),
    ):
        peers = fooled(digits_network, theirs(*some).detach(), some[1])
        assert 0 < peers < COUNT
        assert peers - 1 <= found(ours, digits_network, *some) <= peers + 4


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fab_finds_what_torchattacks_finds(norm: Norm, digits_network: nn.Module, some: tuple[Tensor, Tensor]) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    name = {"linf": "Linf", "l2": "L2"}[norm]  # torchattacks 3.5.1 fails in L1
    theirs = torchattacks.FAB(
        digits_network, norm=name, eps=EPSILON[norm], steps=20, n_restarts=1, multi_targeted=True, n_classes=4
    )
    images, labels = some[0][:60], some[1][:60]
    peers = fooled(digits_network, theirs(images, labels).detach(), labels)
    assert peers - 1 <= found(FABT(norm=norm, steps=20, targets=3), digits_network, images, labels) <= peers + 3


def test_l1_steps_find_what_foolbox_finds(digits_network: nn.Module, some: tuple[Tensor, Tensor]) -> None:
    foolbox = pytest.importorskip("foolbox")
    model = foolbox.PyTorchModel(digits_network, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.SparseL1DescentAttack(steps=20, abs_stepsize=STEP["l1"], random_start=False)
    _, _, success = attack(model, *some, epsilons=EPSILON["l1"])
    ours = found(PGD(norm="l1", steps=20, step=STEP["l1"], random_start=False), digits_network, *some)
    assert ours >= int(success.sum()) - 1 > 0
