"""safetensors: tensors of the framework that the file says it is of, else NumPy's."""

import importlib.util

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    """Tensors by name: PyTorch's where the metadata says `format: pt` and PyTorch is there, else NumPy's arrays."""
    if admitted.details("safetensors").get("framework") == "pt" and importlib.util.find_spec("torch"):
        from safetensors.torch import load_file

        return load_file(copy.path, device=options.device)
    from safetensors.numpy import load_file as load_arrays

    return load_arrays(copy.path)
