"""How far inputs were moved."""

from torch import Tensor, linalg

from garrison.core.robustness_card import Norm


def distance(norm: Norm, difference: Tensor) -> Tensor:
    """The norm (n,) of each of n differences (n, *shape); L0 counts pixels, all channels of one together."""
    if norm == "l0":
        changed = difference != 0
        if difference.dim() == 4:
            changed = changed.any(1)
        return changed.flatten(1).sum(1).to(difference.dtype)
    flat = difference.flatten(1)
    if norm == "linf":
        return flat.abs().amax(1) if flat.numel() else flat.new_zeros(len(flat))
    length: Tensor = linalg.vector_norm(flat, 2 if norm == "l2" else 1, dim=1)
    return length
