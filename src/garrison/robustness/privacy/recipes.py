"""How to train another model like the one that is attacked.

Membership inference and extraction train models of their own. Best is the owner's recipe; where there is none, these
stand in, and what they say of themselves goes into the card.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier, of_function, of_module
from garrison.robustness.data import Kind

Train = Callable[[Tensor, Tensor, int], Classifier]
"""Trains on inputs (n, *shape) with labels (n,), or probabilities (n, classes) if it takes them, from a seed."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """A way to train, and what it is."""

    train: Train
    description: str
    """For the card: `RandomForestClassifier, cloned`."""
    soft: bool = False
    """Whether it takes probabilities in place of labels."""


def like(model: object, kind: Kind, classes: int, shape: tuple[int, ...], *, until: float | None = None) -> Recipe:
    """The recipe that stands in for the owner's.

    A module is trained anew from random weights, an estimator (scikit-learn, XGBoost, LightGBM) is cloned and fitted.
    For anything else, `None` included, images take a small convolutional network and tables
    `HistGradientBoostingClassifier`. `until` is the accuracy on its training data at which the training of a network
    ends. Raises `UsageError` for texts.
    """
    if isinstance(model, nn.Module) and not isinstance(model, torch.jit.ScriptModule):
        return Recipe(of_architecture(model, classes, until=until), f"{type(model).__name__}, trained anew", soft=True)
    if hasattr(model, "fit") and hasattr(model, "get_params"):
        return Recipe(of_estimator(model, classes), f"{type(model).__name__}, cloned and fitted")
    if kind == "image":
        network = small_network(shape, classes)
        train = of_architecture(network, classes, until=until)
        return Recipe(train, "a small convolutional network of garrison's own", soft=True)
    if kind == "table":
        from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped,unused-ignore]

        return Recipe(of_estimator(HistGradientBoostingClassifier(), classes), "HistGradientBoostingClassifier")
    raise UsageError("there is no recipe for models of texts; give one: train(inputs, labels, seed) -> Classifier")


def of_estimator(estimator: Any, classes: int) -> Train:
    """Clones an estimator with `fit` and `predict_proba`, and fits the clone to the inputs, flat, and labels.

    Every parameter called `random_state` takes the seed. Classes that are not among the labels get a probability of 0.
    """
    from sklearn.base import clone  # type: ignore[import-untyped,unused-ignore]

    if not hasattr(estimator, "predict_proba"):
        raise UsageError(f"{type(estimator).__name__} gives no probabilities (predict_proba)")

    def train(inputs: Tensor, labels: Tensor, seed: int) -> Classifier:
        fitted = clone(estimator)
        names = [name for name in fitted.get_params() if name.rpartition("__")[2] == "random_state"]
        fitted.set_params(**dict.fromkeys(names, seed))
        # XGBoost wants classes from 0 without gaps.
        present, indices = np.unique(labels.cpu().numpy(), return_inverse=True)
        fitted.fit(_flat(inputs.cpu().numpy()), indices)

        def probabilities(batch: NDArray[np.float32]) -> NDArray[np.float64]:
            answer = np.zeros((len(batch), classes))
            answer[:, present] = fitted.predict_proba(_flat(batch))
            return answer

        return of_function(probabilities, classes, outputs="probabilities", name=type(estimator).__name__)

    return train


def of_architecture(
    module: nn.Module,
    classes: int,
    *,
    epochs: int = 20,
    until: float | None = None,
    rate: float = 1e-3,
    batch: int = 64,
) -> Train:
    """Trains a copy of a module from random weights with Adam on cross-entropy, on the device of the module.

    It ends after `epochs`, or after the first one in which the accuracy on the batches was `until` or more, so that
    the copy overfits about as much as the original. Labels may be probabilities (n, classes).
    """

    def train(inputs: Tensor, labels: Tensor, seed: int) -> Classifier:
        device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
        # Initialisation and dropout draw from the global generators: they are put back.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            network = _untrained(module).train()
            optimizer = torch.optim.Adam(network.parameters(), rate)
            hard = labels.argmax(1) if labels.ndim == 2 else labels
            for _ in range(epochs):
                right = 0
                for chosen in torch.split(torch.randperm(len(inputs)), batch):
                    if len(chosen) == 1 and len(inputs) > 1:
                        continue  # normalisation over a batch of one has no variance
                    scores = network(inputs[chosen].to(device))
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(scores, labels[chosen].to(device)).backward()  # type: ignore[no-untyped-call,unused-ignore]
                    optimizer.step()
                    right += int((scores.detach().argmax(1) == hard[chosen].to(device)).sum())
                if until is not None and right >= until * len(inputs):
                    break
        return of_module(network, classes)

    return train


def linear(inputs: Tensor, answers: Tensor, seed: int) -> Classifier:
    """Least squares from inputs (n, *shape) to log-probabilities (n, classes): the model itself, if it is linear.

    Known values determine it from one input more than there are features (Tramèr et al. 2016, section 4.1).
    """
    logs = answers.double().clamp(min=1e-300).log()
    logs = logs - logs.mean(1, keepdim=True)
    flat = inputs.double().flatten(1)
    solved = np.linalg.lstsq(torch.cat([flat, torch.ones(len(flat), 1)], 1).numpy(), logs.numpy(), rcond=None)[0]
    weights, bias = torch.from_numpy(solved[:-1]), torch.from_numpy(solved[-1])
    return Classifier(
        lambda batch: (batch.double().flatten(1) @ weights + bias).float(), answers.shape[1], name="linear copy"
    )


def small_network(shape: tuple[int, ...], classes: int) -> nn.Module:
    """A convolutional network for images (channels, height, width), about 100,000 parameters at 28×28, untrained."""
    if len(shape) != 3 or min(shape[1:]) < 4:
        raise UsageError(f"no images of 4×4 pixels or more: their shape is {shape}")
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def _untrained(module: nn.Module) -> nn.Module:
    """A copy with new random weights."""
    network = copy.deepcopy(module)
    drawn: set[int] = set()
    for part in network.modules():
        if callable(reset := getattr(part, "reset_parameters", None)):
            reset()
            drawn.update(id(parameter) for parameter in part.parameters())
    for parameter in network.parameters():
        parameter.requires_grad_(True)
        if id(parameter) not in drawn:
            with torch.no_grad():
                parameter.normal_(0, 1 / math.sqrt(parameter.shape[-1] if parameter.ndim else 1))
    return network


def _flat(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return inputs.reshape(len(inputs), -1)
