"""PyTorch's checkpoints, whole modules and TorchScript."""

import pickle
from typing import Any

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.artifacts.loading.restricted import PickleModule
from garrison.sources.private_copy import PrivateCopy

_RENAMED = {("torch.tensor", name): ("torch._tensor", name) for name in ("_rebuild_from_type_v2", "Tensor")}
"""What `torch.load` looks up in place of a name that it knows from before."""


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    import torch

    load_checkpoint: Any = torch.load
    with copy.open() as file:
        if admitted.details("pytorch-zip").get("torchscript"):
            return torch.jit.load(file, map_location=options.device)  # type: ignore[no-untyped-call]
        try:
            return load_checkpoint(file, map_location=options.device, weights_only=True)
        except pickle.UnpicklingError:  # it holds more than weights, which the scan has seen and the policy lets pass
            file.seek(0)
        names = admitted.names("pickle")
        names |= {_RENAMED[written] for written in names if written in _RENAMED}
        return load_checkpoint(file, map_location=options.device, weights_only=False, pickle_module=PickleModule(names))
