"""PNG files of arrays."""

import base64
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from garrison.core.errors import UsageError
from garrison.robustness.pictures import png


def pixels(text: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text, validate=True))))


def test_greyscale_goes_from_black_to_white_and_clips() -> None:
    for image in (np.array([[0.0, 1.0, 0.5, 7.0]]), np.array([[[0.0, 1.0, 0.5, 7.0]]])):
        assert pixels(png(image)).tolist() == [[0, 255, 128, 255]]


def test_the_range_of_the_inputs_is_the_range_of_the_picture() -> None:
    assert pixels(png([[-1.0, 0.0, 1.0]], low=-1, high=1)).tolist() == [[0, 128, 255]]


def test_colours_stay_in_their_channels() -> None:
    image = np.zeros((3, 2, 5))
    image[0, 0, 0], image[1, 1, 4] = 1, 1
    seen = pixels(png(image))
    assert seen.shape == (2, 5, 3)
    assert seen[0, 0].tolist() == [255, 0, 0]
    assert seen[1, 4].tolist() == [0, 255, 0]


def test_a_perturbation_is_red_where_it_adds_and_blue_where_it_takes() -> None:
    seen = pixels(png([[0.01, 0.0, -0.01]], diverging=True))
    assert seen.tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
@pytest.mark.parametrize("diverging", [False, True])
def test_what_is_no_number_still_gives_a_picture(value: float, diverging: bool) -> None:
    for channels in (1, 3):
        assert pixels(png(np.full((channels, 4, 4), value), diverging=diverging)).shape[:2] == (4, 4)


@pytest.mark.parametrize("shape", [(), (4,), (2, 4, 4), (0, 4, 4), (1, 0, 4), (1, 1, 4, 4)])
def test_other_shapes_are_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="no image"):
        png(np.zeros(shape))
