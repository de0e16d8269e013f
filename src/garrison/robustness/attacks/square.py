"""Square (Andriushchenko et al. 2020): random search with square-shaped changes, from scores alone."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from garrison.core.robustness_card import Access, Norm
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.attacks.black_box import BlackBoxAttack
from garrison.robustness.attacks.geometry import TINY
from garrison.robustness.attacks.ledger import Ledger
from garrison.robustness.classifier import Classifier
from garrison.robustness.distances import distance

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""When the area of the window is halved, in iterations of 10,000 (section 3.1 of the paper)."""


@dataclass(frozen=True)
class Square(BlackBoxAttack):
    """Keep a change of a random window if the margin grows (Andriushchenko et al. 2020, algorithms 1 to 3).

    Images are changed in square windows at random places; other inputs have no neighbourhoods, so a window there is a
    run of features. Each image has windows of its own and is left alone once it is misclassified. L1 follows the L2
    variant, as in AutoAttack (Croce and Hein 2021); both fill their budget within the bounds of the inputs after
    clipping. A change that would leave a point as it is has its signs turned, so that no query is spent on it.

    A budget is searched from its beginning for the inputs that withstood the smaller ones, with up to `queries` for
    each; `found_after` counts those of the budget where it was found, and the one for the input itself.
    """

    name: ClassVar[str] = "square"
    access: ClassVar[Access] = "scores"

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2", "l1")

    norm: Norm = "linf"
    queries: int = 5000
    """For one input under one budget, at most."""
    share: float = 0.8
    """Of the area of an image that the first window covers."""

    def _search(self, ledger: Ledger, scores: Tensor, random: torch.Generator, progress: Progress) -> None:
        for place, epsilon in enumerate(ledger.epsilons):
            ledger.begin()
            self._under(ledger, place, epsilon, random, progress)

    def _under(self, ledger: Ledger, place: int, epsilon: float, random: torch.Generator, progress: Progress) -> None:
        """The budget of this place."""
        which = ledger.open(place)
        if not len(which) or epsilon == 0:
            return
        shape = _as_image(ledger.inputs.shape[1:])
        images = ledger.inputs[which].reshape(-1, *shape)
        search = _Search(ledger.classifier, ledger.inputs.shape[1:], images, epsilon, self.norm, random)
        best = search.start()
        loss = self._ask(ledger, best, which)
        for iteration in range(1, self.queries):
            kept = ledger.found_after[place, which] < 0
            if not bool(kept.all()):
                which, best, loss = which[kept], best[kept], loss[kept]
                search.keep(kept)
            if not len(which):
                return
            area = self.share / 2 ** sum(iteration * 10_000 / self.queries > turn for turn in _HALVINGS)
            points = search.step(best, area)
            losses = self._ask(ledger, points, which)
            better = losses > loss
            loss = torch.where(better, losses, loss)
            best = torch.where(better.view(-1, 1, 1, 1), points, best)
            if iteration % 50 == 0:
                progress((place + iteration / self.queries) / len(ledger.found_after))

    @staticmethod
    def _ask(ledger: Ledger, points: Tensor, which: Tensor) -> Tensor:
        return ledger.margins(points.reshape(-1, *ledger.inputs.shape[1:]), which)


class _Search:
    """Points to try within the budget around images (n, channels, height, width)."""

    def __init__(
        self,
        classifier: Classifier,
        shape: torch.Size,
        images: Tensor,
        epsilon: float,
        norm: Norm,
        random: torch.Generator,
    ) -> None:
        self.images = images
        self._classifier = classifier
        self._shape = shape
        self._epsilon = epsilon
        self._norm = norm
        self._random = random
        self._lowest, self._highest = self._clip(images - epsilon), self._clip(images + epsilon)

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the images only."""
        self.images, self._lowest, self._highest = self.images[kept], self._lowest[kept], self._highest[kept]

    def start(self) -> Tensor:
        """Vertical stripes for linf, a grid of bumps for l2 and l1 (sections 3.3 and 3.4 of the paper)."""
        count, channels, height, width = self.images.shape
        if self._norm == "linf":
            stripes = self._signs(count, channels, 1, width)
            return self._clip(self.images + self._epsilon * stripes)
        changes = torch.zeros_like(self.images)
        rows, columns = (height, max(1, width // 5)) if height == 1 else (max(1, height // 5), max(1, width // 5))
        for top in range(0, height - rows + 1, rows):
            for left in range(0, width - columns + 1, columns):
                signs = self._signs(count, channels, 1, 1)
                bumps = self._bumps(count, rows, columns)
                changes[:, :, top : top + rows, left : left + columns] = bumps * signs
        return self._filled(changes)

    def step(self, best: Tensor, area: float) -> Tensor:
        """A point to try next for each of the best ones so far, changed in a window of this share of the area."""
        return self._step_signs(best, area) if self._norm == "linf" else self._step_mass(best, area)

    def _step_signs(self, best: Tensor, area: float) -> Tensor:
        window = self._window(*self._size(area, 1))
        up = self._signs(*best.shape[:2], 1, 1) > 0
        lowest, highest = self._lowest[window], self._highest[window]
        changed = torch.where(up, highest, lowest)
        idle = (changed == best[window]).flatten(1).all(1).view(-1, 1, 1, 1)
        points = best.clone()
        points[window] = torch.where(idle, torch.where(up, lowest, highest), changed)
        return points

    def _step_mass(self, best: Tensor, area: float) -> Tensor:
        """Move the change of one window into another, in the shape of a bump (algorithm 3)."""
        count, channels = best.shape[:2]
        size = self._size(area, 3)
        target, source = self._window(*size), self._window(*size)
        changes = best - self.images
        both = torch.zeros_like(changes)
        both[target] = changes[target]
        both[source] = changes[source]
        power = 1 if self._norm == "l1" else 2
        unused = (self._epsilon**power - self._length(changes) ** power).clamp_min(0)
        budget = unused / channels + self._length(both) ** power
        bumps = self._bumps(count, *size) * self._signs(count, channels, 1, 1)
        new = bumps
        if best.shape[2] > 1:
            old = changes[target]
            new = bumps + old / self._window_length(old).clamp_min(TINY)
        new = new / self._window_length(new).clamp_min(TINY) * budget ** (1 / power)
        changes[source] = 0
        changes[target] = new
        return self._filled(changes)

    def _filled(self, changes: Tensor) -> Tensor:
        """Images changed in this direction as far as the budget allows, after clipping to the bounds.

        The length after clipping grows less than the factor does, so each round comes closer from below.
        """
        factor = self._epsilon / self._length(changes).clamp_min(TINY)
        points = self._clip(self.images + factor * changes)
        for _ in range(6):
            length = self._length(points - self.images)
            if bool((length >= self._epsilon * 0.999).all()):
                break
            factor = factor * (self._epsilon / length.clamp_min(TINY)).clamp(1, 10)
            points = self._clip(self.images + factor * changes)
        return points

    def _size(self, area: float, least: int) -> tuple[int, int]:
        """Height and width of a window of this share of the area."""
        height, width = self.images.shape[2:]
        if height == 1:
            return 1, min(width, max(1, round(area * width)))
        side = max(least, round(math.sqrt(area * height * width)))
        if least > 1 and side % 2 == 0:
            side += 1
        return min(side, height), min(side, width)

    def _window(self, rows: int, columns: int) -> tuple[Tensor, ...]:
        """Indices of a window at a random place, one for each image."""
        count, channels, height, width = self.images.shape
        device = self.images.device
        top = self._places(height - rows + 1, count)
        left = self._places(width - columns + 1, count)
        return (
            torch.arange(count, device=device).view(-1, 1, 1, 1),
            torch.arange(channels, device=device).view(1, -1, 1, 1),
            (top.unsqueeze(1) + torch.arange(rows, device=device)).view(count, 1, rows, 1),
            (left.unsqueeze(1) + torch.arange(columns, device=device)).view(count, 1, 1, columns),
        )

    def _places(self, choices: int, count: int) -> Tensor:
        return torch.randint(choices, (count,), generator=self._random, device=self.images.device)

    def _signs(self, *shape: int) -> Tensor:
        return torch.randint(2, shape, generator=self._random, device=self.images.device).to(self.images.dtype) * 2 - 1

    def _bumps(self, count: int, rows: int, columns: int) -> Tensor:
        """(n, 1, rows, columns) of length one: two hills of opposite signs (equation 2), upright or lying.

        In a run of features, random signs.
        """
        if rows == 1:
            bumps = self._signs(count, 1, 1, columns)
        else:
            upright = _hills(rows, columns).to(self.images)
            lying = _hills(columns, rows).T.to(self.images)
            turned = self._signs(count, 1, 1, 1) > 0
            bumps = torch.where(turned, upright, lying)
        return bumps / self._window_length(bumps).clamp_min(TINY)

    def _clip(self, images: Tensor) -> Tensor:
        return self._classifier.clip(images.reshape(-1, *self._shape)).reshape(images.shape)

    def _length(self, changes: Tensor) -> Tensor:
        return distance(self._norm, changes).view(-1, 1, 1, 1)

    def _window_length(self, window: Tensor) -> Tensor:
        """Of each channel on its own."""
        length: Tensor = torch.linalg.vector_norm(window, ord=1 if self._norm == "l1" else 2, dim=(2, 3), keepdim=True)
        return length


def _hills(rows: int, columns: int) -> Tensor:
    """One positive hill above a negative one."""
    above = rows // 2
    if above == 0:
        return torch.ones(rows, columns)
    return torch.cat([_hill(above, columns), -_hill(rows - above, columns)])


def _hill(rows: int, columns: int) -> Tensor:
    """Concentric rectangles whose weights fall with the square of their number, of length one."""
    hill = torch.zeros(rows, columns)
    row, column = rows // 2, columns // 2
    for ring in range(max(row, column) + 1):
        hill[max(row - ring, 0) : row + ring + 1, max(column - ring, 0) : column + ring + 1] += 1 / (ring + 1) ** 2
    length: Tensor = torch.linalg.vector_norm(hill)
    return hill / length


def _as_image(shape: torch.Size) -> tuple[int, int, int]:
    """Channels, height and width; one row for what is no image."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    return 1, 1, shape.numel()
