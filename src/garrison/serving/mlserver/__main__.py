"""`python -m garrison.serving.mlserver FOLDER --guard guard.toml`: MLServer with the guard inside, for REST and gRPC.

With `--sockets FOLDER` in place of `--guard` it is what `garrison serve` starts and stands in front of: MLServer
listens at `rest` and `grpc:0` in that folder, answers who knows the secret in its file `secret`, and ends with its
standard input. What `LoadedRuntime` shall load is loaded first, so that a model that is refused is said in one line
and nothing is served. Exit codes are those of garrison's commands.
"""

import argparse
import asyncio
import os
import signal
import sys
from typing import Any

from garrison.core.errors import GarrisonError, UsageError

_DENIED, _USAGE = 1, 2


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m garrison.serving.mlserver", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="with MLServer's settings")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--guard", metavar="FILE", help="the guard's configuration")
    way.add_argument("--sockets", metavar="FOLDER", help="where to listen, for a guard in front")
    given = parser.parse_args(arguments)
    folder = os.path.abspath(given.folder)
    try:
        asyncio.run(_guarded(folder, given.guard) if given.guard else _behind(folder, given.sockets))
    except UsageError as error:
        print(f"garrison: {error}", file=sys.stderr)
        return _USAGE
    except GarrisonError as error:
        print(f"garrison: {error}", file=sys.stderr)
        return _DENIED
    return 0


async def _guarded(folder: str, path: str) -> None:
    from garrison.serving.config.reading import read

    config = read(path)
    server, models = await _made(folder)
    from garrison.serving.mlserver.embedding import application, embed
    from garrison.serving.mlserver.inside import Inside

    inside = Inside(config, application(server))
    embed(server, inside.front, inside.interceptors)
    await inside.running.start()
    try:
        await server.start(models)
    finally:
        await inside.running.stop()


async def _behind(folder: str, sockets: str) -> None:
    from garrison.serving.config.secrets import secret

    word = secret(os.path.join(sockets, "secret"))
    server, models = await _made(folder)
    from garrison.serving.mlserver.embedding import application, embed
    from garrison.serving.mlserver.loading import foretell
    from garrison.serving.mlserver.secret import SecretInterceptor, SecretMiddleware

    await asyncio.to_thread(foretell, models)
    # Sockets in a folder of one's own: nobody else reaches them, and nobody else can listen there first.
    server._settings._custom_rest_server_settings = {"uds": os.path.join(sockets, "rest")}
    server._settings.host, server._settings.grpc_port = "unix:" + os.path.join(sockets, "grpc"), 0
    embed(server, SecretMiddleware(application(server), word), [SecretInterceptor(word)])
    await _ends_with_standard_input()
    await server.start(models)


async def _made(folder: str) -> tuple[Any, list[Any]]:
    try:
        import mlserver
        from mlserver.cli.serve import load_settings
    except ImportError:
        raise UsageError("serving takes MLServer: pip install mlserver==1.7.1 'uvloop<0.22'") from None
    settings, models = await load_settings(folder)
    if settings.parallel_workers:
        raise UsageError("set parallel_workers to 0: models in processes of their own are not behind one guard")
    return mlserver.MLServer(settings), models


async def _ends_with_standard_input() -> None:
    """Whoever started this has gone when nothing holds the other end."""

    class _Watch(asyncio.Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    await asyncio.get_running_loop().connect_read_pipe(_Watch, sys.stdin)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
