"""Training another model like the one that is attacked."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

from garrison.core.errors import UsageError
from garrison.robustness.privacy import recipes
from tests.robustness.conftest import Digits, network


def test_a_network_is_trained_anew_and_left_alone(digits: Digits) -> None:
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.random.get_rng_state()
    train = recipes.of_architecture(module, 10, epochs=3, rate=3e-3)
    first, second, other = (train(digits.train, digits.train_labels, seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    scores = first.scores(digits.test)
    assert torch.equal(scores, second.scores(digits.test))
    assert not torch.equal(scores, other.scores(digits.test))
    assert (scores.argmax(1) == digits.test_labels).float().mean() > 0.6


def test_training_ends_when_it_is_as_good(digits: Digits) -> None:
    asked = recipes.of_architecture(network(), 10, epochs=30, until=0.5)(digits.train, digits.train_labels, 0)
    assert 0.4 < (asked.labels(digits.train) == digits.train_labels).float().mean() < 0.93


def test_labels_may_be_probabilities(digits: Digits) -> None:
    soft = nn.functional.one_hot(digits.train_labels, 10) * 0.8 + 0.02
    copy = recipes.of_architecture(network(), 10, epochs=4, rate=3e-3)(digits.train, soft, 0)
    assert (copy.labels(digits.test) == digits.test_labels).float().mean() > 0.8


def test_parameters_outside_of_layers_are_drawn_anew() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((4,), 1000.0))
            self.layer = nn.Linear(4, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.layer(inputs * self.scale)
            return answer

    copy = recipes.of_architecture(Scaled(), 2, epochs=1)(torch.rand(8, 4), torch.arange(8) % 2, 0)
    assert copy.scores(torch.ones(1, 4)).abs().max() < 100


@pytest.mark.parametrize("name", ["random forest", "pipeline", "xgboost", "lightgbm"])
def test_estimators_are_cloned_with_the_seed(name: str, digits: Digits) -> None:
    if name == "xgboost":
        estimator = pytest.importorskip("xgboost").XGBClassifier(n_estimators=5, max_depth=3, subsample=0.5, n_jobs=1)
    elif name == "lightgbm":
        estimator = pytest.importorskip("lightgbm").LGBMClassifier(n_estimators=5, num_leaves=5, verbose=-1, n_jobs=1)
    elif name == "pipeline":
        estimator = make_pipeline(StandardScaler(), RandomForestClassifier(10))
    else:
        estimator = RandomForestClassifier(10)
    train = recipes.of_estimator(estimator, 10)
    inputs, labels = digits.train[:300].flatten(1), digits.train_labels[:300]
    first, second = train(inputs, labels, 1), train(inputs, labels, 1)
    assert torch.equal(first.scores(inputs), second.scores(inputs))
    assert (first.labels(inputs) == labels).float().mean() > 0.8
    assert not hasattr(estimator, "classes_") or name == "xgboost"


def test_a_class_that_is_absent_has_no_probability(digits: Digits) -> None:
    chosen = (digits.train_labels != 0) & (digits.train_labels != 5)
    train = recipes.of_estimator(LogisticRegression(max_iter=200), 10)
    copy = train(digits.train[chosen], digits.train_labels[chosen], 0)
    scores = copy.scores(digits.test)
    assert scores.shape == (len(digits.test), 10)
    assert scores[:, [0, 5]].abs().max() == 0
    assert (copy.labels(digits.test) == digits.test_labels).float().mean() > 0.7


def test_what_stands_in_for_the_owners_recipe_says_what_it_is() -> None:
    shape, module = (1, 8, 8), network()
    assert recipes.like(module, "image", 10, shape).description == "Sequential, trained anew"
    assert "RandomForestClassifier, cloned" in recipes.like(RandomForestClassifier(), "table", 2, (4,)).description
    assert "network of garrison's own" in recipes.like(None, "image", 10, shape).description
    assert recipes.like(object(), "table", 2, (4,)).description == "HistGradientBoostingClassifier"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit
        scripted = torch.jit.trace(module, torch.zeros(1, *shape))
    assert "network of garrison's own" in recipes.like(scripted, "image", 10, shape).description


def test_what_has_no_recipe_is_told() -> None:
    with pytest.raises(UsageError, match="texts"):
        recipes.like(None, "text", 2, ())
    with pytest.raises(UsageError, match="no probabilities"):
        recipes.of_estimator(LinearSVC(), 2)
    with pytest.raises(UsageError, match="4×4"):
        recipes.small_network((1, 2, 2), 2)


def test_the_small_network_takes_what_images_there_are() -> None:
    for shape in ((1, 8, 8), (3, 33, 17)):
        answer = recipes.small_network(shape, 7)(torch.from_numpy(np.zeros((2, *shape), np.float32)))
        assert answer.shape == (2, 7)
