"""Defences that hide: an attack that does not know of them fails, and one that does breaks them."""

import pytest
import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.attacks.adaptive import DetectorAware, behind, evading, expectation, with_gradients_of
from garrison.robustness.attacks.attack import Attack
from garrison.robustness.attacks.deepfool import DeepFool
from garrison.robustness.classifier import Classifier, of_function, of_module
from tests.robustness.conftest import Digits

COUNT = 40
LEVELS = torch.linspace(0.05, 0.95, 10).view(1, -1, 1, 1)


def quantised(inputs: Tensor) -> Tensor:
    return (inputs * 8).round() / 8


def thermometer(inputs: Tensor) -> Tensor:
    """J. Buckman et al., 2018: each pixel (n, 1, h, w) as ones up to its level (n, 10, h, w)."""
    return (inputs > LEVELS).to(inputs.dtype)


def soft_thermometer(inputs: Tensor) -> Tensor:
    return ((inputs - LEVELS) * 10 + 0.5).clamp(0, 1)


@pytest.fixture
def on_levels(digits_network: nn.Module) -> Classifier:
    """The network for the digits, on thermometer codes."""
    return Classifier(lambda codes: digits_network(codes.mean(1, keepdim=True)), 10)


def left(attack: Attack, classifier: Classifier, digits: Digits, epsilon: float) -> float:
    """The accuracy under attack."""
    outcome = attack(classifier, digits.test[:COUNT], digits.test_labels[:COUNT], [epsilon], seed=0)
    return 1 - float(outcome.success.float().mean())


def test_a_model_behind_rounding_looks_robust_and_is_not(digits_classifier: Classifier, digits: Digits) -> None:
    naive = Classifier(lambda inputs: digits_classifier.forward(quantised(inputs)), 10)
    assert left(DeepFool(norm="linf"), naive, digits, 0.3) > 0.9
    assert left(DeepFool(norm="linf"), behind(digits_classifier, quantised), digits, 0.3) < 0.2


def test_a_model_on_thermometer_codes_looks_robust_and_is_not(on_levels: Classifier, digits: Digits) -> None:
    naive = Classifier(lambda inputs: on_levels.forward(thermometer(inputs)), 10)
    aware = behind(on_levels, thermometer, soft_thermometer)
    assert torch.equal(naive.scores(digits.test), aware.scores(digits.test))
    assert left(DeepFool(norm="linf"), naive, digits, 0.3) > 0.9
    assert left(DeepFool(norm="linf"), aware, digits, 0.3) < 0.2


def test_forward_is_the_real_thing_and_backward_the_substitute() -> None:
    module = nn.Linear(3, 2, bias=False)
    aware = behind(of_module(module, 2), lambda x: x.sign(), lambda x: 5 * x)
    inputs = torch.tensor([[0.2, 0.3, 0.4]], requires_grad=True)
    scores = aware(inputs)
    assert torch.equal(scores, module(torch.ones(1, 3)))
    scores[0, 1].backward()
    assert inputs.grad is not None
    assert torch.allclose(inputs.grad[0], 5 * module.weight[1])
    assert aware.asked == 1


def test_a_substitute_of_another_shape_is_refused(on_levels: Classifier, digits: Digits) -> None:
    with pytest.raises(UsageError, match="same shape"):
        behind(on_levels, thermometer)(digits.test[:2].clone().requires_grad_())


def test_gradients_can_be_those_of_another_model(digits_network: nn.Module, digits: Digits) -> None:
    def decide(inputs: object) -> object:
        with torch.no_grad():
            return digits_network(torch.as_tensor(inputs)).argmax(1).numpy()

    blind = of_function(decide, 10, outputs="labels")
    seeing = with_gradients_of(blind, of_module(digits_network, 10))
    assert torch.equal(seeing.labels(digits.test), blind.labels(digits.test))
    assert left(DeepFool(norm="linf"), seeing, digits, 0.3) < 0.2
    with pytest.raises(UsageError, match="differentiable"):
        with_gradients_of(seeing, blind)


class Noisy(nn.Module):
    """A network whose inputs get noise from the global random state."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.network(inputs + 0.2 * torch.randn_like(inputs))
        return scores


def test_draws_are_the_seeds_and_leave_the_global_state_alone(digits_network: nn.Module, digits: Digits) -> None:
    noisy = of_module(Noisy(digits_network), 10)
    state = torch.random.get_rng_state()
    first, second = expectation(noisy, 5, seed=1), expectation(noisy, 5, seed=1)
    one, other = first.scores(digits.test[:50]), first.scores(digits.test[:50])
    assert not torch.equal(one, other)
    assert torch.equal(one, second.scores(digits.test[:50]))
    assert torch.equal(state, torch.random.get_rng_state())
    assert noisy.asked == 3 * 5 * 50
    plain = of_module(digits_network, 10).scores(digits.test[:50])
    many = expectation(noisy, 50, seed=1).labels(digits.test[:50])
    assert float((many == plain.argmax(1)).float().mean()) > 0.9


def test_draws_vote_on_decisions_and_gradients_are_averaged() -> None:
    answers = iter([torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[9.0, 0.0]])])
    model = Classifier(lambda inputs: next(answers) * inputs, 2)
    inputs = torch.ones(1, 1, requires_grad=True)
    scores = expectation(model, 3)(inputs)
    assert scores.argmax(1).item() == 1
    scores[0, 0].backward()
    assert inputs.grad is not None
    assert inputs.grad.item() == pytest.approx(3.0)


def unsure(network: nn.Module) -> object:
    """A detector: an input is the more suspicious, the less the best class leads."""

    def detector(inputs: Tensor) -> Tensor:
        best = network(inputs).topk(2, dim=1).values
        return best[:, 1] - best[:, 0]

    return detector


def test_a_detector_looks_like_protection_and_is_not(digits_network: nn.Module, digits: Digits) -> None:
    detector = unsure(digits_network)
    inputs, labels = digits.test[:COUNT], digits.test_labels[:COUNT]
    threshold = float(detector(digits.train).quantile(0.95))
    model = of_module(digits_network, 10)
    plain = DeepFool(norm="linf")(model, inputs, labels, [0.4], seed=0)
    undetected = plain.success[0] & (detector(plain.adversarial[0]) <= threshold)
    assert float(plain.success[0].float().mean()) > 0.9
    assert float(undetected.float().mean()) < 0.1
    aware = DetectorAware(DeepFool(norm="linf", steps=100), detector, threshold)
    assert isinstance(aware, Attack)
    outcome = aware(model, inputs, labels, [0.4, 0.2], seed=0)
    evaded = outcome.success[1]
    assert float(evaded.float().mean()) > 0.8
    found = outcome.adversarial[1][evaded]
    assert bool((model.labels(found) != labels[evaded]).all())
    assert bool((detector(found) <= threshold).all())
    assert bool((outcome.success[0] <= outcome.success[1]).all())


def test_what_is_detected_counts_as_classified_correctly() -> None:
    scores = torch.tensor([[3.0, 1.0], [1.0, 3.0], [1.0, 3.0]])
    suspicion = torch.tensor([0.9, 0.4, 0.6])
    model = Classifier(lambda inputs: scores, 2)
    aware = evading(model, lambda inputs: suspicion, 0.5, label=0)
    assert aware.labels(torch.zeros(3, 1)).tolist() == [0, 1, 0]


def test_a_detector_on_nothing(digits_classifier: Classifier, digits: Digits) -> None:
    aware = DetectorAware(DeepFool(), lambda inputs: inputs.flatten(1).sum(1), 1.0)
    outcome = aware(digits_classifier, digits.test[:0], digits.test_labels[:0], [2.0, 1.0], seed=0)
    assert outcome.epsilons == (1.0, 2.0)
    assert outcome.success.shape == (2, 0)
