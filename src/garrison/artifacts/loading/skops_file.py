"""skops archives, with the types trusted that the scan saw and the policy lets pass."""

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    import skops.io

    trusted = sorted(".".join(part for part in written if part) for written in admitted.names("skops"))
    with copy.open() as file:
        return skops.io.load(file, trusted=trusted)
