"""What the guard does to answers is what `garrison attack` measured: the same numbers as the room's defences give."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from garrison.robustness.classifier import Classifier
from garrison.robustness.privacy import defences
from garrison.robustness.privacy.defences import Defence
from garrison.serving.protect import methods
from garrison.serving.protect.methods import Floats


def soft(seed: int, rows: int, classes: int) -> Floats:
    logits = np.random.default_rng(seed).normal(scale=3, size=(rows, classes))
    return methods.softmax(logits).astype(np.float32).astype(np.float64)


def measured(defence: Defence, scores: Floats) -> Floats:
    classifier = Classifier(lambda batch: batch, scores.shape[1], outputs="probabilities")
    found: Floats = defence.wrap(classifier)(torch.from_numpy(scores)).numpy()
    return found


SAME: list[tuple[Defence, Callable[[Floats], Floats]]] = [
    (defences.rounding(n), lambda p, n=n: methods.deciding(p, methods.shortened(p, n, down=False)))  # type: ignore[misc]
    for n in (0, 1, 3)
]
SAME += [(defences.top(n), lambda p, n=n: methods.top(p, n)) for n in (1, 2, 9)]  # type: ignore[misc]
SAME += [(defences.labels_only(), methods.labels)]


@pytest.mark.parametrize("defence, method", SAME, ids=[defence.name for defence, _ in SAME])
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(2, 6))
def test_each_is_the_defence_that_is_measured(
    defence: Defence, method: Callable[[Floats], Floats], seed: int, rows: int, classes: int
) -> None:
    scores = soft(seed, rows, classes)
    np.testing.assert_allclose(method(scores), measured(defence, scores), atol=1e-9)


@given(st.integers(0, 2**32), st.integers(2, 6))
def test_noise_is_that_of_the_defence(seed: int, classes: int) -> None:
    scores = soft(seed, 4, classes)
    drawn = torch.randn((4, classes), generator=torch.Generator().manual_seed(5), dtype=torch.float64).numpy()
    np.testing.assert_allclose(
        methods.noised(scores, 0.5 * drawn), measured(defences.noise(0.5, seed=5), scores), atol=1e-9
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.integers(0, 4), st.booleans())
def test_yes_and_no_stay_on_their_side(chances: list[float], digits: int, down: bool) -> None:
    given_ = np.array(chances)
    answer = methods.deciding_each(given_, methods.shortened(given_, digits, down=down))
    assert ((answer > 0.5) == (given_ > 0.5)).all()
    assert ((answer < 0.5)[given_ < 0.5]).all()


def test_numbers_are_cut_off_downwards() -> None:
    assert methods.shortened(np.array([0.89, 0.11, -0.11]), 1, down=True).tolist() == [0.8, 0.1, -0.2]
