"""Attack a model that gives no gradients through another one that does."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Progress, generator
from garrison.robustness.attacks.geometry import TINY, ascent, per_input, project, room
from garrison.robustness.attacks.losses import log_odds, slope
from garrison.robustness.attacks.minimum_norm import Search, SearchAttack
from garrison.robustness.classifier import Classifier, of_module
from garrison.robustness.distances import distance

_SMALLEST = 0.85
"""To which share of its size an image is scaled down at most, for diversity."""

_AUGMENTING_STEP = 0.1
"""As a share of the spread of inputs (Papernot et al. 2017, section 5)."""


@dataclass(frozen=True)
class Transfer(SearchAttack):
    """Perturbations that fool a surrogate, tried on the target, which is asked once for each budget.

    The surrogate is given, or learnt from the target's answers to the inputs, to which each of `rounds` adds as many
    again along the surrogate's gradient (N. Papernot et al., Practical black-box attacks, 2017, section 4). On the
    surrogate: momentum (Y. Dong et al., Boosting adversarial attacks with momentum, 2018) and, for images, input
    diversity (C. Xie et al., Improving transferability with input diversity, 2019). Success is judged by the target,
    and only what the target was asked is counted.
    """

    name: ClassVar[str] = "transfer"
    access: ClassVar[Access] = "labels"
    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    may_be_zero: ClassVar[tuple[str, ...]] = ("momentum", "diversity", "rounds")

    surrogate: Classifier | None = None
    norm: Norm = "linf"
    steps: int = 20
    momentum: float = 1.0
    """What is kept of earlier gradients; 0 for none."""
    diversity: float = 0.5
    """How probable it is that images are scaled and shifted before a step; 0 for never."""
    rounds: int = 2
    """Of augmentation, where the surrogate is learnt."""
    training: int = 300
    """Batches of 64 that the surrogate learns from in each round."""

    def _search(self, search: Search, seed: int, progress: Progress) -> None:
        """Raises `UsageError` for a surrogate without gradients or of other classes."""
        surrogate, classifier = self.surrogate, search.classifier
        if surrogate is not None and (not surrogate.differentiable or surrogate.classes != classifier.classes):
            raise UsageError(f"a surrogate needs gradients and the {classifier.classes} classes of the model")
        if not len(search.labels):
            return
        noise = generator(seed, search.inputs.device)
        if surrogate is None:
            surrogate = self._learnt(search, seed, noise)
        for place, epsilon in enumerate(search.epsilons):
            rows = search.remaining()
            if len(rows) and epsilon > 0:
                moved = self._moved(surrogate, search, rows, epsilon, noise)
                with torch.no_grad():
                    search.ask(rows, moved)
            progress((place + 1) / len(search.epsilons))

    def _moved(
        self, surrogate: Classifier, search: Search, rows: Tensor, epsilon: float, noise: torch.Generator
    ) -> Tensor:
        """The inputs of `rows` (k,), moved by up to `epsilon` to where the surrogate is most wrong."""
        inputs, labels = search.inputs[rows], search.labels[rows]
        low, high = (torch.as_tensor(bound).to(inputs) for bound in (search.classifier.low, search.classifier.high))
        space = room(inputs, low, high)
        change, velocity = torch.zeros_like(inputs), torch.zeros_like(inputs)
        for _ in range(self.steps):
            free = (inputs + change).detach().requires_grad_()
            loss = log_odds(surrogate.logits(surrogate(self._diverse(free, noise))), labels)
            up = slope(loss, free).nan_to_num(0.0)
            velocity = self.momentum * velocity + up / per_input(distance("l1", up).clamp_min(TINY), up)
            change = project(
                self.norm, change + 1.5 * epsilon / self.steps * ascent(self.norm, velocity), epsilon, space
            )
        return search.classifier.clip(inputs + change)

    def _diverse(self, images: Tensor, noise: torch.Generator) -> Tensor:
        """Images as they are, or smaller and somewhere within a frame of zeros."""
        device = images.device
        if images.dim() != 4 or torch.rand((), generator=noise, device=device) >= self.diversity:
            return images
        height, width = images.shape[2:]
        share = _SMALLEST + (1 - _SMALLEST) * float(torch.rand((), generator=noise, device=device))
        small = (max(1, round(height * share)), max(1, round(width * share)))
        top, left = (
            int(torch.randint(whole - part + 1, (), generator=noise, device=device))
            for whole, part in zip((height, width), small, strict=True)
        )
        shrunk = nn.functional.interpolate(images, small, mode="bilinear", align_corners=False)
        return nn.functional.pad(shrunk, (left, width - small[1] - left, top, height - small[0] - top))

    def _learnt(self, search: Search, seed: int, noise: torch.Generator) -> Classifier:
        """A surrogate for the target, from its answers near all inputs."""
        target, points = search.classifier, search.inputs
        answers = search.clean
        rows = torch.arange(len(points), device=points.device)
        spread = points.std() if points.numel() > 1 else points.new_ones(())
        module = _network(tuple(points.shape[1:]), target.classes, float(points.mean()), float(spread), seed)
        module.to(points.device)
        for number in range(self.rounds + 1):
            self._train(module, points, answers if target.outputs == "labels" else target.soft(answers), noise)
            if number == self.rounds:
                break
            free = points.detach().requires_grad_()
            decided = module(free).gather(1, answers.argmax(1, keepdim=True)).squeeze(1)
            further = target.clip(points + _AUGMENTING_STEP * spread * slope(decided, free).sign())
            with torch.no_grad():
                for start in range(0, len(rows), len(search.labels)):
                    part = slice(start, start + len(search.labels))
                    answers = torch.cat([answers, target.scores(further[part])])
                    search.queries[rows[part]] += 1
            points, rows = torch.cat([points, further]), torch.cat([rows, rows])
        return of_module(module, target.classes, name="surrogate")

    def _train(self, module: nn.Module, points: Tensor, answers: Tensor, noise: torch.Generator) -> None:
        optimizer = torch.optim.Adam(module.parameters(), 2e-3)
        for _ in range(self.training):
            batch = torch.randint(len(points), (64,), generator=noise, device=points.device)
            optimizer.zero_grad()
            with torch.enable_grad():
                loss = nn.functional.cross_entropy(module(points[batch]), answers[batch])
                loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


class _Standardised(nn.Module):
    def __init__(self, mean: float, spread: float) -> None:
        super().__init__()
        self.mean, self.spread = mean, max(spread, 1e-6)

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.mean) / self.spread


def _network(shape: tuple[int, ...], classes: int, mean: float, spread: float, seed: int) -> nn.Module:
    """A small network, untrained: convolutions for images (channels, height, width), else two hidden layers."""
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        if len(shape) == 3:
            return nn.Sequential(
                _Standardised(mean, spread),
                nn.Conv2d(shape[0], 16, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(16, 32, 3, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(tuple(min(4, side) for side in shape[1:])),
                nn.Flatten(),
                nn.Linear(32 * min(4, shape[1]) * min(4, shape[2]), 64),
                nn.ReLU(),
                nn.Linear(64, classes),
            )
        features = torch.Size(shape).numel()
        return nn.Sequential(
            _Standardised(mean, spread),
            nn.Flatten(),
            nn.Linear(features, 64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, classes),
        )
