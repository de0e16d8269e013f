"""What stands before the answers: what it hides, what it keeps, and what it costs."""

import pytest
import torch

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier
from garrison.robustness.privacy import defences
from garrison.robustness.privacy.defences import Defence


def model(seed: int = 0) -> Classifier:
    random = torch.Generator().manual_seed(seed)
    weights = torch.randn(6, 4, generator=random) * 2
    return Classifier(lambda batch: batch @ weights, 4)


INPUTS = torch.rand(300, 6, generator=torch.Generator().manual_seed(1))
KEEPING = [
    defences.rounding(0),
    defences.rounding(1),
    defences.rounding(3),
    defences.top(1),
    defences.top(2),
    defences.top(9),
    defences.labels_only(),
    defences.reverse_sigmoid(),
]


@pytest.mark.parametrize("defence", KEEPING, ids=lambda defence: defence.name)
def test_decisions_are_kept(defence: Defence) -> None:
    plain = model()
    guarded = defence.wrap(plain)
    assert torch.equal(guarded.labels(INPUTS), plain.labels(INPUTS))
    answers = guarded.scores(INPUTS)
    assert answers.shape == (300, 4)
    assert answers.min() >= 0 and answers.max() <= 1 + 1e-5
    assert not guarded.differentiable


def test_each_hides_what_it_says() -> None:
    plain = model()
    assert (
        defences.rounding(1).wrap(plain).scores(INPUTS).mul(10).frac().minimum(torch.tensor(1.0)).unique().numel() < 9
    )
    assert set(defences.labels_only().wrap(plain).scores(INPUTS).flatten().tolist()) == {0.0, 1.0}
    top = defences.top(1).wrap(plain).scores(INPUTS).sort(1).values
    assert torch.allclose(top[:, 0], top[:, 2]), "others are alike"


def test_noise_differs_each_time_and_averages_away() -> None:
    plain = model()
    guarded = defences.noise(0.5, seed=3).wrap(plain)
    first, second = guarded.scores(INPUTS), guarded.scores(INPUTS)
    assert not torch.equal(first, second)
    assert torch.equal(first, defences.noise(0.5, seed=3).wrap(plain).scores(INPUTS))
    truth = plain.soft(plain.scores(INPUTS))
    mean = torch.stack([guarded.scores(INPUTS) for _ in range(50)]).mean(0)
    assert (mean - truth).abs().mean() < (first - truth).abs().mean() / 2


def test_the_cost_is_accuracy_and_calibration() -> None:
    sure = Classifier(lambda batch: torch.tensor([[0.9, 0.1]]).expand(len(batch), 2), 2, outputs="probabilities")
    found = defences.cost(sure, torch.zeros(10, 3), torch.tensor([0] * 9 + [1]))
    assert found.accuracy.value == 0.9
    assert found.calibration_error == pytest.approx(0.0, abs=1e-6)
    hard = defences.cost(defences.labels_only().wrap(sure), torch.zeros(10, 3), torch.tensor([0] * 9 + [1]))
    assert hard.accuracy.value == 0.9
    assert hard.calibration_error == pytest.approx(0.1)


def test_what_cannot_be_is_told() -> None:
    for wrong in (lambda: defences.rounding(-1), lambda: defences.top(0), lambda: defences.noise(0)):
        with pytest.raises(UsageError):
            wrong()
