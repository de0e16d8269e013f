"""XGBoost's models in JSON and UBJSON. Its old binary form is not loaded: XGBoost itself reads it no more."""

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    """An `xgboost.Booster`."""
    import xgboost

    booster = xgboost.Booster()
    with copy.open() as file:
        booster.load_model(bytearray(file.read()))  # which tells JSON and UBJSON apart by the second byte
    return booster
