"""Keras models, in safe mode."""

import os
import shutil

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    import keras

    # Keras goes by the ending of the name: the scan's word for what the bytes are counts, not the file's own name.
    if "keras" in admitted.formats:
        name = f"{copy.path}.keras"
        os.symlink(copy.path, name)
    else:
        name = f"{copy.path}.h5"
        shutil.copyfile(copy.path, name)  # h5py asks for the real path, and a file in memory has none
    return keras.saving.load_model(name, safe_mode=True)
