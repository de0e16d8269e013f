"""Which server a call goes to."""

from collections.abc import Awaitable, Mapping

from garrison.serving.calls import Answer, Call
from garrison.serving.http.pool import Pool
from garrison.serving.refusals import Reason, Refused

DEFAULT = "default"
"""The backend of calls that concern no model."""


class Backends:
    """Forwards calls to the pool of their backend. The configuration names them; no request does."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = dict(pools)
        self._only = next(iter(self._pools.values())) if len(self._pools) == 1 else None

    def __call__(self, call: Call) -> Awaitable[Answer]:
        """The server's answer. Raises `Refused`."""
        name = call.backend or (call.settings.backend if call.settings is not None else DEFAULT)
        pool = self._pools.get(name)
        if pool is None:
            pool = self._only if call.settings is None and not call.backend else None
            if pool is None:
                raise Refused(Reason.BACKEND, "no model server is configured for the request")
        return pool.ask(call)

    async def close(self) -> None:
        """Close the connections that are not in use."""
        for pool in self._pools.values():
            await pool.close()
