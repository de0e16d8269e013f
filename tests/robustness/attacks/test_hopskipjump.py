"""HopSkipJump beside a peer's."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from garrison.robustness.attacks.hopskipjump import HopSkipJump
from garrison.robustness.classifier import of_module
from garrison.robustness.distances import distance
from tests.robustness.conftest import Digits


def test_art_gets_no_closer_with_as_many_queries(digits: Digits, digits_network: nn.Module) -> None:
    estimators = pytest.importorskip("art.estimators.classification")
    evasion = pytest.importorskip("art.attacks.evasion")
    inputs, labels = digits.test[:8], digits.test_labels[:8]
    asked = 0

    def decide(points: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        nonlocal asked
        asked += len(points)
        with torch.no_grad():
            return np.eye(10, dtype=np.float32)[digits_network(torch.from_numpy(points)).argmax(1).numpy()]

    theirs = estimators.BlackBoxClassifier(decide, (1, 8, 8), 10, clip_values=(0, 1))
    state = np.random.get_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attack = evasion.HopSkipJump(theirs, norm=2, max_iter=4, init_eval=40, max_eval=100, verbose=False)
        found = torch.from_numpy(attack.generate(inputs.numpy()))
    np.random.set_state(state)
    outcome = HopSkipJump("l2", asked // len(inputs))(
        of_module(digits_network, 10), inputs, labels, [1e-3, 100.0], seed=0
    )
    ours = distance("l2", outcome.adversarial[1] - inputs)
    assert ours.median() <= distance("l2", found - inputs).median()
