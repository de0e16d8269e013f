"""joblib's pickles, whose arrays stand between the opcodes."""

from typing import Any

from garrison.artifacts.loading import restricted
from garrison.artifacts.loading.admission import Admitted, Options
from garrison.artifacts.loading.refusal import LoadRefused
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler

    names = admitted.names("pickle")

    class Wrapper(NumpyArrayWrapper):  # type: ignore[misc]
        def read_array(self, unpickler: Any, *settings: Any) -> Any:
            if self.dtype.hasobject:
                # joblib before 1.6 reads these with a plain `pickle.load`.
                return restricted.Unpickler(unpickler.file_handle, names).load()
            return super().read_array(unpickler, *settings)

    class Unpickler(NumpyUnpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            restricted.require(names, module, name)
            found = restricted.own(super().find_class(module, name), module, name)
            if found is NumpyArrayWrapper:
                return Wrapper
            if module.startswith("joblib.") and name in ("NDArrayWrapper", "ZNDArrayWrapper"):
                raise LoadRefused("joblib before 0.10 wrote arrays to files of their own, which are not read here")
            return found

    with copy.open() as file:
        # The signature of `NumpyUnpickler` grew in joblib 1.5: with what is native, arrays come out as `joblib.load`
        # gives them.
        return _unpickler(Unpickler, file).load()


def _unpickler(kind: Any, file: Any) -> Any:
    try:
        return kind("", file, ensure_native_byte_order=True)
    except TypeError:
        return kind("", file)
