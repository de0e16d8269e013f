"""Each check passes where nothing is wrong and fails where something was planted."""

import pytest
import torch
from torch import Tensor, nn

from garrison.core.robustness_card import Check, rate
from garrison.robustness import masking
from garrison.robustness.attacks.attack import Outcome
from garrison.robustness.classifier import Classifier, of_function
from tests.robustness.conftest import Digits

COUNT = 100


def planted(change: object, network: nn.Module) -> Classifier:
    """The network for the digits with something done to its inputs and outputs."""
    return Classifier(lambda inputs: change(network, inputs), 10)  # type: ignore[operator]


def verdict(checks: tuple[Check, ...], name: str) -> str:
    (found,) = [check.verdict for check in checks if check.name == name]
    return found


@pytest.fixture
def inputs(digits: Digits) -> Tensor:
    return digits.test[:COUNT]


@pytest.fixture
def labels(digits: Digits) -> Tensor:
    return digits.test_labels[:COUNT]


def test_a_sound_model_passes_all(digits_classifier: Classifier, inputs: Tensor, labels: Tensor) -> None:
    checks = masking.before(digits_classifier, inputs, labels, 0)
    assert {check.verdict for check in checks} == {"passed"}, checks
    assert not any(check.advice for check in checks)
    assert len({check.name for check in checks}) == 7


def noisy(network: nn.Module, inputs: Tensor) -> Tensor:
    scores: Tensor = network(inputs + 0.05 * torch.randn_like(inputs))
    return scores


def with_hole(network: nn.Module, inputs: Tensor) -> Tensor:
    scores = network(inputs)
    return scores.masked_fill((inputs[:, :1, 3, 3] > 0.9), torch.nan)


FAULTS = {
    "softmax": (lambda network, x: network(x).softmax(1), "logits"),
    "noise": (noisy, "randomness"),
    "rounding": (lambda network, x: network((x * 8).round() / 8), "zero-gradients"),
    "shattered": (lambda network, x: network(x + 0.01 * torch.sin(x * 5e4)), "loss-increases"),
    "constant": (lambda network, x: network(torch.zeros_like(x)), "constant-outputs"),
    "one class": (lambda network, x: network(x) * 1e-3 + torch.eye(10)[4], "constant-outputs"),
    "no number": (with_hole, "finite-scores"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_planted_is_found(fault: str, digits_network: nn.Module, inputs: Tensor, labels: Tensor) -> None:
    change, name = FAULTS[fault]
    checks = masking.before(planted(change, digits_network), inputs, labels, 0)
    assert verdict(checks, name) == "failed", checks
    (found,) = [check for check in checks if check.name == name]
    assert found.advice


@pytest.mark.parametrize("shift", [-1, 1])
def test_labels_off_by_one_are_found(shift: int, digits_classifier: Classifier, inputs: Tensor, labels: Tensor) -> None:
    found = masking.check_labels(digits_classifier, inputs, labels + shift)
    assert found.verdict == "failed"
    assert f"{-shift:+d} added to every label" in found.seen


def test_a_model_that_is_very_sure_has_gradients_and_a_shattered_one_has_none(
    digits_network: nn.Module, inputs: Tensor, labels: Tensor
) -> None:
    saturated = planted(lambda network, x: network(x) * 1e4, digits_network)
    rounded = planted(lambda network, x: network((x * 8).round() / 8), digits_network)
    assert masking.check_zero_gradients(saturated, inputs, labels).verdict == "passed"
    assert "substitute" in masking.check_zero_gradients(rounded, inputs, labels).advice


def test_repeated_inputs_are_doubted() -> None:
    once = torch.rand((40, 3), generator=torch.Generator().manual_seed(0))
    twice, mostly = torch.cat([once, once[:20]]), once[:10].repeat(4, 1)
    assert masking.check_distinct(once, images=True).verdict == "passed"
    found = masking.check_distinct(twice, images=True)
    assert (found.verdict, found.seen) == ("failed", "40 distinct of 60 inputs")
    assert masking.check_distinct(twice, images=False).verdict == "unknown"
    assert masking.check_distinct(mostly, images=False).verdict == "failed"


def test_probabilities_that_say_so_pass_unless_they_are_rounded(digits_network: nn.Module, inputs: Tensor) -> None:
    soft = Classifier(lambda x: (digits_network(x) / 5).softmax(1), 10, outputs="probabilities")
    sure = Classifier(lambda x: (digits_network(x) * 100).softmax(1), 10, outputs="probabilities")
    assert masking.check_logits(soft, inputs).verdict == "passed"
    assert masking.check_logits(sure, inputs).verdict == "failed"


def test_without_gradients_nothing_is_said_of_them(inputs: Tensor, labels: Tensor) -> None:
    blind = of_function(lambda x: x.reshape(len(x), -1)[:, 20:30], 10, outputs="logits")
    assert masking.check_zero_gradients(blind, inputs, labels).verdict == "unknown"
    assert masking.check_loss_increases(blind, inputs, labels, 0).verdict == "unknown"


def test_where_nothing_is_right_there_is_nothing_to_say(
    digits_classifier: Classifier, inputs: Tensor, labels: Tensor
) -> None:
    wrong = (digits_classifier.labels(inputs) + 1) % 10
    assert masking.check_zero_gradients(digits_classifier, inputs, wrong).verdict == "unknown"
    assert masking.check_loss_increases(digits_classifier, inputs, wrong, 0).verdict == "unknown"
    assert masking.before(digits_classifier, inputs[:0], labels[:0], 0) == ()


def outcome(
    *successes: list[bool], epsilons: tuple[float, ...], after: list[int] | None = None, times: int = 10
) -> Outcome:
    success = torch.tensor(successes).repeat(1, times)
    count = success.shape[1]
    found = torch.tensor((after or [2] * (count // times)) * times).expand_as(success).masked_fill(~success, -1)
    return Outcome(
        epsilons=epsilons,
        adversarial=torch.zeros(*success.shape, 1),
        success=success,
        queries=torch.full((count,), 100),
        gradients=torch.zeros(count, dtype=torch.int64),
        found_after=found,
    )


T, F = True, False


def test_a_single_step_that_finds_more_is_suspicious() -> None:
    weak, strong = outcome([T, F, F, F], epsilons=(0.1,)), outcome([T, T, F, F], epsilons=(0.1,))
    assert masking.check_single_step(weak, strong).verdict == "passed"
    assert masking.check_single_step(strong, weak).verdict == "failed"
    assert masking.check_single_step(weak, outcome([T, T, F, F], epsilons=(0.2,))).verdict == "unknown"


def test_a_black_box_that_finds_more_is_suspicious_under_any_budget() -> None:
    white = outcome([F, T, T], [T, T, T], epsilons=(0.1, 0.2))
    black = outcome([T, F, F], [T, T, T], epsilons=(0.1, 0.2))
    assert masking.check_black_box(black, white).verdict == "failed"
    assert "at 0.1, 10 of 30" in masking.check_black_box(black, white).seen
    assert masking.check_black_box(outcome([F, T, F], epsilons=(0.1,)), white).verdict == "passed"


def test_nothing_withstands_a_budget_that_allows_everything() -> None:
    assert masking.check_unbounded(outcome([F, F], [T, T], epsilons=(0.1, 1.0)), 1.0).verdict == "passed"
    assert masking.check_unbounded(outcome([F, F], [T, F], epsilons=(0.1, 1.0)), 1.0).verdict == "failed"
    assert masking.check_unbounded(outcome([F, F], epsilons=(0.1,)), 1.0).verdict == "unknown"


def test_the_budget_that_allows_everything() -> None:
    model = Classifier(lambda inputs: inputs, 2, low=-1.0, high=1.0)
    assert masking.unbounded(model, "linf", (3, 4, 4)) == 2.0
    assert masking.unbounded(model, "l2", (4,)) == 4.0
    assert masking.unbounded(model, "l1", (4,)) == 8.0
    assert masking.unbounded(model, "l0", (3, 4, 4)) == 16.0
    assert masking.unbounded(model, "l0", (4,)) == 4.0


def test_an_attack_that_was_still_finding_had_too_few_queries() -> None:
    early = outcome([T, T, T, F], epsilons=(0.1,), after=[5, 9, 20, 0])
    late = outcome([T, T, T, F], epsilons=(0.1,), after=[5, 90, 99, 0])
    assert masking.check_enough_queries(early).verdict == "passed"
    assert masking.check_enough_queries(late).verdict == "failed"
    assert masking.check_enough_queries(outcome([F, F], epsilons=(0.1,))).verdict == "unknown"
    assert masking.check_enough_queries(outcome([T, T], epsilons=(0.1,), after=[1, 1])).verdict == "passed"


def test_what_few_inputs_do_not_show_is_not_known(
    digits_classifier: Classifier, inputs: Tensor, labels: Tensor
) -> None:
    few = {check.name: check.verdict for check in masking.before(digits_classifier, inputs[:5], labels[:5], 0)}
    assert few["zero-gradients"] == few["loss-increases"] == "unknown"
    weak, strong = (outcome([T, each, F, F], epsilons=(0.1,), times=1) for each in (F, T))
    assert masking.check_single_step(weak, strong).verdict == "unknown"
    assert masking.check_black_box(weak, strong).verdict == "unknown"
    assert masking.check_single_step(strong, weak).verdict == "failed"
    assert masking.check_unbounded(outcome([T, T], epsilons=(1.0,), times=1), 1.0).verdict == "unknown"
    assert masking.check_enough_queries(outcome([T, T, T, F], epsilons=(0.1,), times=1)).verdict == "unknown"


def test_few_inputs_tell_little() -> None:
    few, many = masking.check_enough_inputs(rate(5, 10)), masking.check_enough_inputs(rate(1000, 2000))
    assert (few.verdict, many.verdict) == ("failed", "passed")
    assert "about 385 inputs" in few.advice


def test_a_linear_model_of_two_features_is_not_doubted() -> None:
    weights = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    inputs = torch.rand((60, 2), generator=torch.Generator().manual_seed(0))
    classifier = Classifier(lambda batch: (batch - 0.5) @ weights.T, 2)
    assert masking.check_loss_increases(classifier, inputs, classifier.labels(inputs), 0).verdict == "passed"
