"""What one input is held to, prepared once."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from garrison.core.errors import UsageError
from garrison.serving.calls import Mark
from garrison.serving.refusals import Reason, Refused
from garrison.serving.schema.addresses import address_in, allowed
from garrison.serving.schema.settings import Bound, Input
from garrison.serving.tensors.datatypes import DTYPES
from garrison.serving.tensors.tensor import Tensor

_EXPONENT = 0x7F80
"""Of BF16; all of its bits are set in what is not finite."""


class InputCheck:
    """Holds tensors to what an input must be."""

    def __init__(self, wanted: Input, *, finite: bool) -> None:
        """Raises `UsageError` for what no tensor can be held to."""
        if wanted.datatype not in DTYPES:
            raise UsageError(f"input {wanted.name}: no datatype {wanted.datatype!r}; there are {', '.join(DTYPES)}")
        if any(length < -1 for length in wanted.shape):
            raise UsageError(f"input {wanted.name}: lengths are 0 or more, or -1 for any")
        self.wanted = wanted
        self._shape = wanted.shape
        self._exact = -1 not in wanted.shape
        self._finite = finite and wanted.datatype.startswith("FP")
        self._finite_bits = finite and wanted.datatype == "BF16"
        texts = wanted.datatype == "BYTES"
        numeric = wanted.datatype not in ("BYTES", "BOOL", "BF16")
        if (wanted.low is not None or wanted.high is not None) and not numeric:
            raise UsageError(f"input {wanted.name}: low and high are for numbers")
        if not texts and (wanted.pattern or wanted.hosts):
            raise UsageError(f"input {wanted.name}: pattern and hosts are for texts (BYTES)")
        if any(texts is not isinstance(value, str) for value in wanted.values):
            raise UsageError(f"input {wanted.name}: values are of another kind than its datatype")
        self._low = _bound(wanted, wanted.low)
        self._high = _bound(wanted, wanted.high)
        self._between = (
            (self._low, self._high)
            if isinstance(self._low, int | float) and isinstance(self._high, int | float)
            else None
        )
        self._text = self._texts() if texts else None
        self._values = np.array(wanted.values, np.float64) if wanted.values and not texts else None

    def check(self, tensor: Tensor) -> None:
        """Raises `Refused`."""
        wanted = self.wanted
        if tensor.datatype != wanted.datatype:
            raise Refused(Reason.MALFORMED, f"input {wanted.name!a} is of datatype {wanted.datatype}")
        if tensor.shape != self._shape and not (not self._exact and _fits(tensor.shape, self._shape)):
            raise Refused(Reason.MALFORMED, f"input {wanted.name!a} has the shape {list(wanted.shape)}")
        data = tensor.data
        if self._text is not None:
            self._text(data)
            return
        if not data.size:
            return
        between = self._between
        # What is not finite is in no range, so that nothing more is asked of ordinary inputs.
        if between is None or not (between[0] <= data.min() and data.max() <= between[1]):
            self._range(data)
        if self._values is not None and not np.isin(data, self._values).all():
            raise self._refused("has values that it does not take")

    def _range(self, data: NDArray[Any]) -> None:
        if self._finite and not np.isfinite(data).all():
            raise self._refused("has numbers that are not finite")
        if self._finite_bits and ((data & _EXPONENT) == _EXPONENT).any():
            raise self._refused("has numbers that are not finite")
        if self._low is not None and not (data >= self._low).all():
            raise self._refused("has numbers below what it takes")
        if self._high is not None and not (data <= self._high).all():
            raise self._refused("has numbers above what it takes")

    def _texts(self) -> Callable[[NDArray[Any]], None]:
        wanted = self.wanted
        try:
            pattern = re.compile(wanted.pattern.encode()) if wanted.pattern else None
        except re.error as error:
            raise UsageError(f"input {wanted.name}: pattern: {error}") from None
        values = frozenset(str(value).encode() for value in wanted.values)

        def check(data: NDArray[Any]) -> None:
            for text in data.flat:
                if len(text) > wanted.most_bytes:
                    raise self._refused(f"has a text of more than {wanted.most_bytes:,} bytes")
                if values and text not in values:
                    raise self._refused("has values that it does not take")
                if pattern is not None and pattern.fullmatch(text) is None:
                    raise self._refused("has a text of another form than it takes")
                if wanted.urls == "refuse" and (address := address_in(text)) and not allowed(address, wanted.hosts):
                    raise address_refused(f"input {wanted.name!a}")

        return check

    def _refused(self, what: str) -> Refused:
        message = f"input {self.wanted.name!a} {what}"
        return Refused(Reason.UNACCEPTABLE, message, mark=Mark(rule="input-out-of-range", message=message))


def address_refused(where: str) -> Refused:
    """The refusal of an address that a server might fetch."""
    mark = Mark(rule="address-in-request", message=where)
    return Refused(Reason.UNACCEPTABLE, f"{where} holds an address, and no request may choose one", mark=mark)


def _bound(wanted: Input, bound: Bound) -> NDArray[Any] | float | None:
    if bound is None or isinstance(bound, int | float):
        return bound
    if not wanted.shape or wanted.shape[-1] not in (-1, len(bound)):
        raise UsageError(f"input {wanted.name}: {len(bound)} bounds, and its last axis has another length")
    return np.array(bound, np.float64)


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(length in (given, -1) for given, length in zip(shape, wanted, strict=True))
