"""`python -m garrison.serving.mlserver FOLDER`: MLServer, which answers who knows the secret in the environment.

`garrison serve` starts this, and is the one who knows. What is loaded by `LoadedRuntime` is loaded first, so that a
model that is refused is said in one line and nothing is served.
"""

import asyncio
import json
import os
import sys

from garrison.core.errors import GarrisonError, UsageError

SECRET = "GARRISON_BACKEND_SECRET"
"""The environment variable."""
_DENIED, _USAGE = 1, 2
"""Exit codes, as garrison's commands have them."""


def main(arguments: list[str]) -> int:
    secret = os.environ.pop(SECRET, "")
    if len(arguments) != 1 or not secret:
        print(f"usage: {SECRET}=... python -m garrison.serving.mlserver FOLDER", file=sys.stderr)
        return _USAGE
    try:
        asyncio.run(_serve(os.path.abspath(arguments[0]), secret))
    except UsageError as error:
        print(f"garrison: {error}", file=sys.stderr)
        return _USAGE
    except GarrisonError as error:
        print(f"garrison: {error}", file=sys.stderr)
        return _DENIED
    return 0


async def _serve(folder: str, secret: str) -> None:
    try:
        import mlserver
        from mlserver.cli.serve import load_settings
    except ImportError:
        raise UsageError("serving takes MLServer: pip install mlserver==1.7.1 'uvloop<0.22'") from None
    from garrison.serving.mlserver.embedding import embed
    from garrison.serving.mlserver.loaded import predicting
    from garrison.serving.mlserver.secret import SecretInterceptor, SecretMiddleware

    with open(os.path.join(folder, "model-settings.json"), "rb") as file:
        parameters = json.load(file)["parameters"]
    extra = parameters.get("extra", {})
    await asyncio.to_thread(
        predicting, parameters["uri"], str(extra.get("policy", "")), str(extra.get("public_key", ""))
    )
    settings, models = await load_settings(folder)
    server = mlserver.MLServer(settings)
    embed(server, lambda app: SecretMiddleware(app, secret), [SecretInterceptor(secret)])
    await server.start(models)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
