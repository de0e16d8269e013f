"""State in Redis or Valkey, shared by all guards that are configured with the same namespace."""

import asyncio
import hashlib
import math
import random
import time
from collections.abc import Awaitable, Sequence
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from garrison.core.errors import UsageError
from garrison.serving.state.settings import State
from garrison.serving.state.store import Short, StoreUnavailable, Take

_PAUSE = 1.0
"""Seconds for which a server that did not answer is not asked again."""


class RedisStore:
    """Keys are hashed, so that names of callers neither lie in the server nor clash with its syntax. Time is the
    server's. A cluster is not served: what one call takes must lie in one place."""

    def __init__(self, settings: State, password: str = "") -> None:
        """Raises `UsageError` for an address that is none."""
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        parts = urlsplit(settings.address)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise UsageError("state.address: must begin with redis://, rediss:// or unix://")
        if parts.password is not None:
            raise UsageError("state.address: holds a password; name a file with it in state.password-file")
        options: dict[str, Any] = {"ssl_ca_certs": settings.authorities} if settings.authorities else {}
        if password:
            options["password"] = password
        try:
            pool = BlockingConnectionPool.from_url(
                settings.address,
                max_connections=settings.connections,
                timeout=settings.timeout,
                socket_connect_timeout=settings.timeout,
                socket_timeout=settings.timeout,
                retry=Retry(NoBackoff(), 0),
                **options,
            )
        except (ValueError, TypeError):
            raise UsageError("state.address: is no address of a Redis server") from None
        self._client: Redis = Redis(connection_pool=pool)
        self._timeout = settings.timeout
        self._prefix = settings.namespace + ":"
        self._take = self._client.register_script(_script("take.lua"))
        self._increase = self._client.register_script(_script("increase.lua"))
        self._asked_again = 0.0

    async def take(self, takes: Sequence[Take]) -> Short | None:
        for index, take in enumerate(takes):
            if take.cost > take.most:
                return Short(index, math.inf)
        numbers = [repr(float(number)) for take in takes for number in take[1:]]
        short = await self._answer(self._take(keys=[self._key(take.key) for take in takes], args=numbers))
        return Short(int(short[0]), float(short[1])) if short else None

    async def get(self, key: str) -> bytes | None:
        value: bytes | None = await self._answer(self._client.get(self._key(key)))
        return value

    async def put(self, key: str, value: bytes, lifetime: float) -> None:
        await self._answer(self._client.set(self._key(key), value, px=_milliseconds(lifetime)))

    async def add(self, key: str, lifetime: float) -> bool:
        return bool(await self._answer(self._client.set(self._key(key), b"", px=_milliseconds(lifetime), nx=True)))

    async def increase(self, key: str, amount: float, lifetime: float) -> float:
        return float(
            await self._answer(self._increase(keys=[self._key(key)], args=[repr(amount), _milliseconds(lifetime)]))
        )

    async def close(self) -> None:
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    def _key(self, key: str) -> str:
        return self._prefix + hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    async def _answer(self, asked: Awaitable[Any]) -> Any:
        """What the server says, or `StoreUnavailable`: at once while it is known not to answer, so that a dead one
        does not cost every call the whole timeout. One call at a time finds out whether it is back."""
        from redis.exceptions import RedisError

        now = time.monotonic()
        if now < self._asked_again:
            if asyncio.iscoroutine(asked):
                asked.close()
            raise StoreUnavailable("the server of shared state does not answer")
        if self._asked_again:
            self._asked_again = now + self._timeout + _PAUSE
        try:
            async with asyncio.timeout(self._timeout):
                answer = await asked
        except (RedisError, OSError, TimeoutError) as error:
            self._asked_again = time.monotonic() + _PAUSE * random.uniform(0.5, 1.0)
            raise StoreUnavailable(f"the server of shared state does not answer: {type(error).__name__}") from None
        self._asked_again = 0.0
        return answer


def _milliseconds(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))


def _script(name: str) -> str:
    return files("garrison.serving.state").joinpath(name).read_text()
