"""ONNX models, as `onnx.ModelProto`."""

from garrison.artifacts.loading.admission import Admitted, Options
from garrison.artifacts.loading.refusal import LoadRefused
from garrison.sources.private_copy import PrivateCopy


def load(copy: PrivateCopy, admitted: Admitted, options: Options) -> object:
    import onnx

    if outside := admitted.outside("external-data"):
        raise LoadRefused(
            f"{admitted.subject}: its tensors are in {outside[0]!r} beside it: hold the folder with garrison.admitted"
        )
    with copy.open() as file:
        return onnx.load_model(file, format="protobuf", load_external_data=False)
