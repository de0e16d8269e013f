"""Keras models, in safe mode."""

import os

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    import keras

    # Keras goes by the ending of the name: the scan's word for what the bytes are counts, not the file's own name.
    if "keras" in admitted.formats:
        name = f"{copy.path}.keras"
        os.symlink(copy.path, name)
        return keras.saving.load_model(name, safe_mode=True)
    # h5py asks for the real path, and a file in memory has none.
    with copy.open() as file, PrivateCopy.of_stream(file, "model.h5", copy.size, in_memory=False) as real:
        return keras.saving.load_model(real.path, safe_mode=True)
