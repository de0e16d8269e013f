"""`grpc.health.v1`: whether the guard is alive. It says nothing of models, and nobody needs to log in to ask.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md. `Watch` is not offered.
"""

from typing import Any

import grpc

_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"
_SERVICES = (b"", b"\x0a\x1einference.GRPCInferenceService")
"""Requests for the server as a whole, and for the one service that it has."""


class Health:
    """Answers for as long as `serving` says so."""

    def __init__(self) -> None:
        self.serving = True

    def handlers(self) -> dict[str, Any]:
        return {"/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(self._check)}

    async def _check(self, request: bytes, context: Any) -> bytes:
        if request not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return _SERVING if self.serving else _NOT_SERVING
