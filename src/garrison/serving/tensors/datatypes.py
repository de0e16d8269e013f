"""The datatypes of the Open Inference Protocol, and how NumPy holds them."""

import os
from typing import Any

import msgspec
import numpy as np

with open(os.path.join(os.path.dirname(__file__), "datatypes.json"), "rb") as _file:
    DTYPES: dict[str, "np.dtype[Any]"] = {
        name: np.dtype(code) for name, code in msgspec.json.decode(_file.read(), type=dict[str, str]).items()
    }
"""By the protocol's name. `BF16`, which NumPy lacks, is held as its bits."""
