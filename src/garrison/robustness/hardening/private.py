"""Training with differential privacy (DP-SGD, Abadi et al. 2016), through Opacus."""

import copy
import math
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.core.robustness_card import Estimate, Rate, rate
from garrison.robustness.attacks.attack import Progress, generator
from garrison.robustness.classifier import of_module
from garrison.robustness.hardening.hardened import checked, frozen_copy
from garrison.robustness.privacy import rates


@dataclass(frozen=True)
class Exposure:
    """What a model can do, and what it gives away of its training data."""

    clean: Rate
    """Accuracy on data that it was not trained on."""
    membership_auc: Estimate
    """Of telling training from test data by the loss alone (Yeom et al. 2018); 0.5 is guessing. Stronger attacks exist:
    `garrison.robustness.privacy.membership`."""
    true_positives: Estimate
    """Of the same, at 1 % false positives."""


@dataclass(frozen=True, eq=False)
class Private:
    """A model trained with differential privacy, and its before and after."""

    model: nn.Module
    original: nn.Module
    before: Exposure
    after: Exposure
    epsilon: float
    """What was spent, at `delta`: adding or removing one training example changes the odds of any outcome by at most
    a factor of e to this, up to `delta`."""
    delta: float
    accountant: str
    noise: float
    """Standard deviation of the noise on the summed gradients, in clipping norms."""
    changes: tuple[str, ...]
    """Layers that were replaced because they mix examples."""

    @property
    def clean_points_lost(self) -> float:
        return 100 * (self.before.clean.value - self.after.clean.value)


def private_training(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    classes: int,
    test: tuple[Tensor, Tensor],
    seed: int,
    delta: float | None = None,
    epochs: int = 10,
    batch: int = 256,
    rate: float = 2e-3,
    clip: float = 1.0,
    low: float = 0.0,
    high: float = 1.0,
    progress: Progress | None = None,
) -> Private:
    """Train the model anew, so that `epsilon` at `delta` (without one, a tenth of 1/n) bounds what it tells of anyone.

    Training starts from fresh weights, since those of a model that has seen the data give it away. Batches are Poisson
    samples of `batch` examples on average, gradients are clipped to the L2 norm `clip`, and the accountant is Opacus's
    PRV. Batch normalisation mixes examples and is replaced by group normalisation. The noise comes from a seeded
    generator, so that a training can be repeated: whoever learns the seed can subtract the noise. Keep it secret.

    Raises `UsageError` where Opacus is missing or does not know a layer.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from opacus import PrivacyEngine  # type: ignore[import-untyped]
            from opacus.validators import ModuleValidator  # type: ignore[import-untyped]
    except ImportError:
        raise UsageError("private training needs Opacus: pip install opacus") from None
    delta = 0.1 / max(1, len(inputs)) if delta is None else delta
    if not (epsilon > 0 and 0 < delta < 1 and clip > 0 and rate > 0 and epochs >= 1 and batch >= 1):
        raise UsageError("epsilon, clip, rate, epochs and batch have to be positive, delta between 0 and 1")
    checked(inputs, labels, classes, low, high, "training data")
    checked(*test, classes, low, high, "test data")
    original = frozen_copy(model)
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        fresh, changes = _fixed(copy.deepcopy(model).requires_grad_(), ModuleValidator)
        _reset(fresh)
        device = next(fresh.parameters()).device
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(inputs.cpu(), labels.cpu()),
            min(batch, len(inputs)),
            generator=generator(seed, torch.device("cpu")),
        )
        engine = PrivacyEngine(accountant="prv")
        private, optimizer, loader = engine.make_private_with_epsilon(
            module=fresh.train(),
            optimizer=torch.optim.Adam(fresh.parameters(), rate),
            data_loader=loader,
            target_epsilon=epsilon,
            target_delta=delta,
            epochs=epochs,
            max_grad_norm=clip,
            noise_generator=generator(seed, device),
        )
        for epoch in range(epochs):
            for some, their in loader:
                if len(some):
                    optimizer.zero_grad()
                    loss = nn.functional.cross_entropy(private(some.to(device)), their.to(device))
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
            if progress:
                progress((epoch + 1) / epochs)
        spent = float(engine.get_epsilon(delta))
        trained: nn.Module = copy.deepcopy(private.to_standard_module()).eval().requires_grad_(False)
    if not math.isfinite(spent):
        raise UsageError("the accountant gives no bound for these settings: train for fewer epochs or on more data")
    before, after = (_exposure(one, classes, (inputs, labels), test) for one in (original, trained))
    return Private(
        trained, original, before, after, spent, delta, "PRV (Opacus)", float(optimizer.noise_multiplier), changes
    )


def _fixed(model: nn.Module, validator: Any) -> tuple[nn.Module, tuple[str, ...]]:
    """The model with layers that can be trained privately, and what was replaced.

    Opacus's own repair copies the model by pickling it, which not every model survives, so it is not used.
    """
    changes = []
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            instead = nn.GroupNorm(math.gcd(32, layer.num_features), layer.num_features, affine=layer.affine)
            if not name:
                raise UsageError("a model that is one layer of batch normalisation cannot be trained privately")
            model.set_submodule(name, instead.to(next(model.parameters()).device))
            changes.append(f"{name}: {type(layer).__name__} -> GroupNorm")
    problems = validator.validate(model.train(), strict=False)
    if problems:
        raise UsageError(f"the model cannot be trained privately: {str(problems[0]).splitlines()[0]}")
    return model, tuple(changes)


def _reset(model: nn.Module) -> None:
    """Fresh weights, in every layer."""
    for name, layer in model.named_modules():
        if not any(True for _ in layer.parameters(recurse=False)):
            continue
        reset = getattr(layer, "reset_parameters", None)
        if not callable(reset):
            raise UsageError(f"layer {name or type(layer).__name__}: no reset_parameters() gives it fresh weights")
        reset()


def _exposure(model: nn.Module, classes: int, members: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> Exposure:
    classifier = of_module(model, classes)
    device = classifier.device
    losses = []
    for inputs, labels in (members, test):
        parts = []
        for some, their in zip(torch.split(inputs, 512), torch.split(labels, 512), strict=True):
            scores = classifier.scores(some.to(device))
            parts.append(nn.functional.cross_entropy(scores, their.to(device), reduction="none").cpu())
        losses.append(torch.cat(parts))
    inside, outside = (-loss.double().numpy() for loss in losses)
    right = int((classifier.labels(test[0].to(device)).cpu() == test[1].cpu()).sum())
    return Exposure(rate(right, len(test[1])), rates.auc(inside, outside), rates.true_positives(inside, outside, 0.01))
