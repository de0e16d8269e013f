"""LightGBM's models as text."""

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    """A `lightgbm.Booster`."""
    import lightgbm

    with copy.open() as file:
        return lightgbm.Booster(model_str=file.read().decode())
