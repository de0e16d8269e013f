"""Noise that nobody averages away by asking again: it is a function of the question and of a key.

Each row is a question of its own, so that other company in a batch brings no other noise. How a number is written
(its datatype, the sign of zero) brings none either, and digits beyond the fourth rarely do.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.serving.tensors.tensor import Tensor

_LEAST_KEY = 16
_MEANT = 0xFFFFF000
"""The sign, the exponent and eleven bits after the point of a number in FP32."""
_HALF = 0x800


class KeyedNoise:
    """Normal noise for the rows of calls to one model."""

    def __init__(self, key: bytes, model: str) -> None:
        """Raises `ValueError` for a key that could be guessed."""
        if len(key) < _LEAST_KEY:
            raise ValueError(f"a key has {_LEAST_KEY} bytes or more")
        self._keyed = hashlib.blake2b(model.encode(), key=hashlib.sha512(key).digest(), digest_size=32)

    def normal(self, inputs: Sequence[Tensor], rows: int, columns: int) -> NDArray[np.float64]:
        """Standard normal numbers (rows, columns) for answers to these inputs."""
        shared = self._keyed.copy()
        of_rows = []
        for tensor in sorted(inputs, key=lambda one: one.name):
            shared.update(b"%d:%s" % (len(tensor.name.encode()), tensor.name.encode()))
            if tensor.shape and tensor.shape[0] == rows:
                of_rows.append(_questions(tensor, rows))
            else:
                shared.update(b"".join(_questions(tensor, 1)))
        needed = 16 * (-(-columns // 2))
        drawn = bytearray()
        for row in range(rows):
            question = shared.copy()
            # Without an input that has this many rows, they are told apart by their place.
            question.update(b"".join(one[row] for one in of_rows) if of_rows else b"%d" % row)
            drawn += hashlib.shake_256(question.digest()).digest(needed)
        uniform = (np.frombuffer(drawn, "<u8").reshape(rows, -1, 2) >> 11) * 2.0**-53
        # Box and Muller 1958.
        length = np.sqrt(-2 * np.log1p(-uniform[..., 0]))
        angle = 2 * np.pi * uniform[..., 1]
        pairs = np.stack([length * np.cos(angle), length * np.sin(angle)], -1)
        return pairs.reshape(rows, -1)[:, :columns]


def _questions(tensor: Tensor, rows: int) -> list[bytes]:
    """What each row asks."""
    if not rows:
        return []
    data = tensor.data.reshape(rows, -1)
    if tensor.datatype == "BYTES":
        return [b"".join(b"%d:%s" % (len(element), element) for element in row) for row in data]
    if tensor.datatype == "BF16":
        data = (data.astype(np.uint32) << 16).view(np.float32)
    meant = _meant(data)
    return [row.tobytes() for row in meant]


def _meant(data: NDArray[Any]) -> NDArray[np.uint32]:
    with np.errstate(over="ignore", invalid="ignore"):
        single = data.astype(np.float32) + np.float32(0)
    return (single.view(np.uint32) + np.uint32(_HALF)) & np.uint32(_MEANT)
