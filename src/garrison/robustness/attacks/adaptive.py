"""Models with defences, made such that any attack takes the defence into account.

An attack that does not know of a defence measures how well the defence hides, not how well it protects (A. Athalye,
N. Carlini, D. Wagner, Obfuscated gradients give a false sense of security, 2018). The functions here take a
classifier and return one, so that every attack works on the result unchanged:

- `behind` and `with_gradients_of`: something before or in the model has no useful gradient. The real thing is
  passed forward, a substitute backward (BPDA, section 4.1 there).
- `expectation`: the model is random. Gradients are averaged over draws and draws vote on decisions (EOT, section 4.2).
- `evading`: a detector refuses inputs. An input counts only where it is misclassified and not detected.
  `DetectorAware` makes an attack of that for inputs of all classes.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Attack, Outcome, Progress
from garrison.robustness.attacks.checked import check
from garrison.robustness.classifier import Classifier


class _Substituted(torch.autograd.Function):
    """The value of one tensor with the gradient of another."""

    @staticmethod
    def forward(ctx: Any, substitute: Tensor, real: Tensor) -> Tensor:
        return real.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def substituted(real: Tensor, substitute: Tensor) -> Tensor:
    """`real` exactly, with the gradient of `substitute`, which has its shape. Raises `UsageError`."""
    if real.shape != substitute.shape:
        raise UsageError(
            f"the substitute gives {tuple(substitute.shape)} where the real thing gives {tuple(real.shape)}; "
            "give a differentiable substitute whose result has the same shape"
        )
    result: Tensor = _Substituted.apply(substitute, real.detach())  # type: ignore[no-untyped-call]
    return result


def behind(
    classifier: Classifier,
    preprocess: Callable[[Tensor], Tensor],
    substitute: Callable[[Tensor], Tensor] | None = None,
) -> Classifier:
    """`classifier` with `preprocess` before it, which backward is `substitute`, or nothing at all where that is absent.

    Nothing at all fits what changes its input little, such as rounding, compression or smoothing.
    """

    def forward(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            real = preprocess(inputs)
        if torch.is_grad_enabled() and inputs.requires_grad:
            return classifier(substituted(real, substitute(inputs) if substitute else inputs))
        return classifier(real)

    return _derived(classifier, forward)


def with_gradients_of(classifier: Classifier, substitute: Classifier) -> Classifier:
    """The scores of `classifier` with the gradients of `substitute`, a differentiable model of the same classes."""
    if substitute.classes != classifier.classes or not substitute.differentiable:
        raise UsageError(f"the substitute must be differentiable and have {classifier.classes} classes")

    def forward(inputs: Tensor) -> Tensor:
        real = classifier.logits(classifier.scores(inputs))
        if torch.is_grad_enabled() and inputs.requires_grad:
            return substituted(real, substitute.logits(substitute(inputs)))
        return real

    return _derived(classifier, forward, differentiable=True, outputs="logits")


def expectation(classifier: Classifier, draws: int = 10, *, seed: int = 0) -> Classifier:
    """A randomised model as an attacker sees it who averages: each call asks it `draws` times.

    Gradients are those of the mean scores. Decisions are the majority's: the largest score is given to the class that
    most draws decide for, and of equals to that with the higher mean.

    Models draw from the global state of torch. Here that state is set from `seed` while they do, and restored, so
    that the n-th call since this was made always sees the same draws.
    """
    if draws < 1:
        raise UsageError(f"an expectation over {draws} draws is none; take 1 or more")
    calls = 0

    def forward(inputs: Tensor) -> Tensor:
        nonlocal calls
        devices = [classifier.device] if classifier.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.random.manual_seed((seed * 1_000_003 + calls) % 2**63)
            drawn = [classifier(inputs) for _ in range(draws)]
        calls += 1
        mean = torch.stack(drawn).mean(0)
        return substituted(_decided(drawn, mean.detach()), mean)

    return _derived(classifier, forward)


def _decided(drawn: Sequence[Tensor], mean: Tensor) -> Tensor:
    """The mean scores (n, classes), with the largest at the class that most of `drawn` decide for."""
    votes = torch.zeros_like(mean)
    for scores in drawn:
        votes.scatter_add_(1, scores.detach().argmax(1, keepdim=True), torch.ones_like(mean[:, :1]))
    tied = votes == votes.amax(1, keepdim=True)
    majority = mean.masked_fill(~tied, -torch.inf).argmax(1, keepdim=True)
    first = mean.argmax(1, keepdim=True)
    # Where they are the same class, the second write puts back what the first took.
    swapped = mean.scatter(1, first, mean.gather(1, majority))
    return swapped.scatter(1, majority, mean.gather(1, first))


def evading(
    classifier: Classifier, detector: Callable[[Tensor], Tensor], threshold: float, label: int, *, weight: float = 1.0
) -> Classifier:
    """`classifier` for inputs of one `label`, where an input that is detected counts as classified correctly.

    `detector` gives suspicions (n,), differentiable, higher for worse; above `threshold` an input is refused. A
    decision other than `label` thus means: misclassified, and not detected. This is the combined classifier of
    N. Carlini and D. Wagner, Adversarial examples are not easily detected, 2017, section 3.2, with the refusal
    merged into the label, so that being refused is no success. `weight` is how many logits one unit of suspicion
    beyond the threshold is worth; where an attack fails, try other orders of magnitude.
    """

    def forward(inputs: Tensor) -> Tensor:
        scores = classifier.logits(classifier(inputs))
        beyond = (detector(inputs).reshape(len(scores)) - threshold) * weight
        own = scores[:, label].maximum(scores.amax(1) + beyond)
        column = torch.arange(scores.shape[1], device=scores.device) == label
        return torch.where(column, own[:, None], scores)

    return _derived(classifier, forward, outputs="logits")


@dataclasses.dataclass(frozen=True)
class DetectorAware:
    """An attack on a model and its detector together: `attack` on `evading`, class by class.

    Success means that both are evaded; inputs that evade both as they are succeed unchanged.
    """

    attack: Attack
    detector: Callable[[Tensor], Tensor]
    """Suspicions (n,) of inputs (n, *shape), differentiable if the attack needs gradients."""
    threshold: float
    weight: float = 1.0

    name: ClassVar[str] = "detector-aware"

    @property
    def norms(self) -> tuple[Norm, ...]:
        return self.attack.norms

    @property
    def norm(self) -> Norm:
        return self.attack.norm

    @property
    def access(self) -> Access:
        return self.attack.access

    def __call__(
        self,
        classifier: Classifier,
        inputs: Tensor,
        labels: Tensor,
        epsilons: Sequence[float],
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Outcome:
        """See `Attack`."""
        budgets = tuple(sorted(set(epsilons)))
        check(self.name, self.access, classifier, inputs, labels, budgets)
        whole = _empty(budgets, inputs)
        present = sorted(set(labels.tolist()))
        for which, label in enumerate(present):
            rows = (labels == label).nonzero().squeeze(1)
            aware = evading(classifier, self.detector, self.threshold, label, weight=self.weight)
            part = self.attack(aware, inputs[rows], labels[rows], epsilons, seed=seed)
            for field in ("adversarial", "success", "found_after"):
                getattr(whole, field)[:, rows] = getattr(part, field)
            whole.queries[rows], whole.gradients[rows] = part.queries, part.gradients
            whole.incomplete = whole.incomplete or part.incomplete
            if progress:
                progress((which + 1) / len(present))
        return whole


def _empty(epsilons: tuple[float, ...], inputs: Tensor) -> Outcome:
    """An outcome in which nothing was tried."""
    count = torch.zeros(len(inputs), dtype=torch.int64, device=inputs.device)
    each = count.expand(len(epsilons), -1)
    adversarial = inputs.detach().expand(len(epsilons), *inputs.shape).clone()
    return Outcome(epsilons, adversarial, each.bool(), count, count.clone(), each - 1)


def _derived(classifier: Classifier, forward: Callable[[Tensor], Tensor], **changes: Any) -> Classifier:
    """A classifier like this one, with its own count of what it was asked."""
    return dataclasses.replace(classifier, forward=forward, **changes)
