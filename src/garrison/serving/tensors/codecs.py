"""The codecs of routes, by the names that `http/routes.json` has for them."""

from garrison.serving.calls import Codec
from garrison.serving.tensors.documents import GenerateCodec, V1Codec
from garrison.serving.tensors.v2 import V2Codec

CODECS: dict[str, Codec] = {"v2": V2Codec(), "v1": V1Codec(), "generate": GenerateCodec()}
