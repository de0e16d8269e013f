"""A training that was interrupted, as one safetensors file."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.hardening.recipe import Epoch


class Checkpoint:
    """Weights by the role of their model, the optimizer's tensors, and the log; written whole or not at all."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        """`identity` is what a training must have in common with one that it goes on with."""
        self._path = path
        self._identity = json.loads(json.dumps(identity))

    def write(
        self, models: dict[str, dict[str, Tensor]], optimizer: torch.optim.Optimizer, log: list[Epoch], steps: int
    ) -> None:
        tensors = {f"{role}/{name}": value for role, state in models.items() for name, value in state.items()}
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
        said = {"identity": self._identity, "log": [asdict(epoch) for epoch in log], "steps": steps}
        unfinished = self._path.with_name(self._path.name + ".unfinished")
        copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        save_file(copies, unfinished, {"garrison": json.dumps(said)})
        os.replace(unfinished, self._path)

    def read(self, models: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> tuple[list[Epoch], int] | None:
        """Fill models and optimizer; the log, and the steps of the attack. `None` if there is no file yet.

        Raises `UsageError` for a file of another training.
        """
        if not self._path.exists():
            return None
        try:
            with safe_open(self._path, "pt") as file:
                said = json.loads((file.metadata() or {}).get("garrison", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, json.JSONDecodeError) as error:
            raise UsageError(f"{self._path}: no checkpoint: {error}") from None
        if not isinstance(said, dict) or said.get("identity") != self._identity:
            raise UsageError(f"{self._path} is of another training: remove it or name another file")
        try:
            for role, model in models.items():
                model.load_state_dict(_below(tensors, role))
            states: dict[int, dict[str, Tensor]] = {}
            for name, value in _below(tensors, "optimizer").items():
                index, _, key = name.partition("/")
                states.setdefault(int(index), {})[key] = value
            optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
            return [Epoch(**epoch) for epoch in said["log"]], int(said["steps"])
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{self._path} is damaged: {str(error).splitlines()[0]}") from None


def _below(tensors: dict[str, Tensor], role: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{role}/"): value for name, value in tensors.items() if name.startswith(f"{role}/")}
