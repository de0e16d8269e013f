"""An attack that knows of the detector (Bryniarski et al. 2021, "Evading Adversarial Example Detection Defenses with
Orthogonal Projected Gradient Descent", arXiv 2106.15023, the selective variant of section 4).

Each step either makes the model wrong, where it is still right, or the detector calm, where the model is wrong
already. The steps never work against each other, so no weight between the two has to be found.
"""

import torch
from torch import Tensor, nn

from garrison.robustness.classifier import Classifier


def calmed(
    classifier: Classifier,
    detector: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int = 60,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Inputs (n, *shape) within linf `epsilon`, and whether each is misclassified (n,).

    Of the misclassified points that were met, each is the one that the detector scores lowest. Others are unchanged.
    """
    random = torch.Generator().manual_seed(seed)
    noise = (torch.rand(inputs.shape, generator=random) * 2 - 1).to(inputs.device)
    moved = classifier.clip(inputs + epsilon * noise)
    found, lowest = inputs.clone(), torch.full((len(inputs),), torch.inf, device=inputs.device)
    for step in range(steps + 1):
        moved = moved.detach().requires_grad_()
        scores = classifier(moved)
        right = scores.argmax(1) == labels
        suspicion = detector(moved)
        better = ~right & (suspicion < lowest)
        found[better], lowest[better] = moved.detach()[better], suspicion.detach()[better]
        if step == steps:
            break
        margin = scores.gather(1, labels.unsqueeze(1)).squeeze(1) - _best_other(scores, labels)
        (gradient,) = torch.autograd.grad(torch.where(right, margin, suspicion).sum(), moved)
        size = epsilon * (0.25 if step < steps // 3 else 0.1 if step < 2 * steps // 3 else 0.03)
        moved = moved.detach() - size * gradient.sign()
        moved = classifier.clip(torch.minimum(torch.maximum(moved, inputs - epsilon), inputs + epsilon))
    return found, lowest.isfinite()


def _best_other(scores: Tensor, labels: Tensor) -> Tensor:
    own = nn.functional.one_hot(labels, scores.shape[1]).bool()
    return scores.masked_fill(own, -torch.inf).amax(1)
