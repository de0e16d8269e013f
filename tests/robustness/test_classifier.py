"""A classifier as attacks see it."""

import torch

from garrison.robustness.classifier import Classifier


class Halving(torch.nn.Module):
    """Works in place on what it is given."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.sub_(0.5).mul_(2)


def test_a_model_that_works_in_place_alters_no_inputs() -> None:
    inputs = torch.rand(4, 3)
    kept = inputs.clone()
    classifier = Classifier(Halving(), 3)
    assert torch.equal(classifier.scores(inputs), (kept - 0.5) * 2)
    assert torch.equal(inputs, kept)
    free = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(free).sum(), free)
    assert torch.equal(gradient, torch.full_like(kept, 2.0))
