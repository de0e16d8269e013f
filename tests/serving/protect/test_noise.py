"""The same question has the same noise, in whatever company and form it comes; others have others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.serving.protect.noise import KeyedNoise
from garrison.serving.tensors.tensor import Tensor

KEY = b"k" * 16
NOISE = KeyedNoise(KEY, "m")
ROWS = np.random.default_rng(0).normal(size=(6, 5))


def tensor(rows: np.ndarray, name: str = "x", datatype: str = "FP32") -> Tensor:  # type: ignore[type-arg]
    return Tensor(name, datatype, rows.shape, rows, {})


def floats(rows: np.ndarray) -> Tensor:  # type: ignore[type-arg]
    return tensor(rows.astype(np.float32))


@given(st.permutations(range(6)), st.integers(1, 6))
def test_company_brings_no_other_noise(order: list[int], count: int) -> None:
    alone = np.concatenate([NOISE.normal([floats(ROWS[n : n + 1])], 1, 3) for n in order[:count]])
    np.testing.assert_array_equal(NOISE.normal([floats(ROWS[order[:count]])], count, 3), alone)


def test_the_form_of_numbers_brings_no_other_noise() -> None:
    expected = NOISE.normal([floats(ROWS)], 6, 4)
    np.testing.assert_array_equal(NOISE.normal([tensor(ROWS, datatype="FP64")], 6, 4), expected)
    np.testing.assert_array_equal(
        NOISE.normal([floats(np.nextafter(ROWS.astype("f4"), np.float32(9)))], 6, 4), expected
    )
    zero, negative = np.zeros((1, 2)), -np.zeros((1, 2))
    np.testing.assert_array_equal(NOISE.normal([floats(zero)], 1, 4), NOISE.normal([floats(negative)], 1, 4))
    pair = [tensor(ROWS, "a"), tensor(ROWS, "b")]
    np.testing.assert_array_equal(NOISE.normal(pair, 6, 4), NOISE.normal(pair[::-1], 6, 4))


def test_other_questions_models_and_keys_have_other_noise() -> None:
    found = [
        NOISE.normal([floats(ROWS)], 6, 4),
        NOISE.normal([floats(ROWS + 0.1)], 6, 4),
        NOISE.normal([tensor(ROWS, "y")], 6, 4),
        KeyedNoise(KEY, "other").normal([floats(ROWS)], 6, 4),
        KeyedNoise(b"q" * 16, "m").normal([floats(ROWS)], 6, 4),
        NOISE.normal([floats(ROWS), tensor(np.ones(1), "shared")], 6, 4),
    ]
    assert len(np.unique(np.concatenate(found))) == 6 * 6 * 4
    texts = [np.array([[a, b]], object) for a, b in ((b"a", b"b"), (b"ab", b""), (b"", b"ab"))]
    assert len({NOISE.normal([tensor(one, datatype="BYTES")], 1, 1).item() for one in texts}) == 3


def test_rows_without_an_input_of_their_own_differ() -> None:
    found = NOISE.normal([tensor(np.ones(2))], 3, 2)
    assert len(np.unique(found)) == 6


def test_it_is_normal() -> None:
    drawn = NOISE.normal([floats(np.arange(4000.0)[:, None])], 4000, 5)
    assert drawn.shape == (4000, 5)
    assert abs(drawn.mean()) < 0.03
    assert abs(drawn.std() - 1) < 0.03
    assert abs(np.corrcoef(drawn.T)[0, 1:]).max() < 0.06
    assert abs((np.abs(drawn) > 1.96).mean() - 0.05) < 0.006


def test_a_key_that_could_be_guessed_is_none() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        KeyedNoise(b"short", "m")
