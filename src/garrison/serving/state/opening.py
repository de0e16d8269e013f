"""Opens the store that is configured."""

import os

from garrison.core.errors import UsageError
from garrison.core.files import contents
from garrison.serving.state.memory import MemoryStore
from garrison.serving.state.redis import RedisStore
from garrison.serving.state.settings import State


def open_store(settings: State) -> MemoryStore | RedisStore:
    """Raises `UsageError`. Whoever opens it closes it."""
    if not settings.address:
        return MemoryStore(settings.most_keys, snapshot=settings.snapshot)
    if settings.snapshot:
        raise UsageError("state.snapshot: is for state in this process; leave it out beside state.address")
    password = ""
    if settings.password_file:
        password = contents(settings.password_file, 4096).decode().strip()
    elif settings.password_variable:
        password = os.environ.get(settings.password_variable, "")
        if not password:
            raise UsageError(f"state.password-variable: {settings.password_variable} is not set")
    return RedisStore(settings, password)
