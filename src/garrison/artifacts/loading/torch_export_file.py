"""Programs of `torch.export`, if nothing in them is unpickled but plain tensors.

`torch.export.load` unpickles three things without a list of names: weights and constants that are no plain tensors,
objects of C++ classes, and the sample inputs where they hold more than tensors. None of the three is needed for a
classifier, so an archive that has one is refused; what is left is numbers, a graph that the scan has judged, and sample
inputs that PyTorch's own weights-only unpickler reads.

Source: `torch/export/pt2_archive/_package.py` and `torch/_export/serde/serialize.py` of PyTorch 2.13.
"""

import io
import json
import re
import zipfile
from typing import Any

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.artifacts.loading.refusal import LoadRefused
from garrison.core.errors import first_line
from garrison.sources.private_copy import PrivateCopy

_SAMPLES = "data/sample_inputs/model.pt"
_EXPECTED = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/.*|\.format_version|\.storage_alignment|extra/.*"
    r"|models/model\.json|data/weights/(weight_\d+|model_weights_config\.json)"
    rf"|data/constants/(tensor_\d+|model_constants_config\.json)|{re.escape(_SAMPLES)}"
).fullmatch
"""Records of an archive that holds one program, and nothing compiled."""


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    """A `torch.export.ExportedProgram`, on the device that it was saved from. Raises `LoadRefused`."""
    import torch

    with copy.open() as file:
        try:
            reader: Any = torch._C.PyTorchFileReader(file)  # the one that torch.export.load reads with
            records = list(reader.get_all_records())
        except RuntimeError as error:
            raise LoadRefused(f"{admitted.subject}: {first_line(error)}") from None
        _require_plain(reader, records, admitted.subject)
        # Where PyTorch cannot read the program, it tries an older form with Python's zipfile.
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
        if names != set(records):
            raise LoadRefused(f"{admitted.subject}: two readers of zip files see different members in it")
        file.seek(0)
        return torch.export.load(file)


def _require_plain(reader: Any, records: list[str], subject: str) -> None:
    import torch

    for name in records:
        if not _EXPECTED(name):
            raise LoadRefused(f"{subject}: {name!r} is no part of a program of plain tensors, which alone is loaded")
    if _SAMPLES not in records:
        raise LoadRefused(f"{subject}: no program of this version of torch.export: save it again")
    for part in ("weights", "constants"):
        config = json.loads(reader.get_record(f"data/{part}/model_{part}_config.json"))["config"]
        for name, entry in config.items():
            if entry["use_pickle"] or not _EXPECTED(f"data/{part}/{entry['path_name']}"):
                raise LoadRefused(f"{subject}: torch.export.load would unpickle {name!r}: save it as a plain tensor")
            empty = not reader.get_record_size(f"data/{part}/{entry['path_name']}")
            if empty and all(size.get("as_int") for size in entry["tensor_meta"]["sizes"]):
                raise LoadRefused(f"{subject}: {name!r} has a size and no bytes")
    try:
        torch.load(io.BytesIO(reader.get_record(_SAMPLES)), weights_only=True)
    except Exception as error:
        raise LoadRefused(f"{subject}: its sample inputs are more than tensors: {first_line(error)}") from None
