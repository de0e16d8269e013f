"""Secrets in files of their own, so that a configuration can be shown to anybody."""

from garrison.core.errors import UsageError
from garrison.core.files import contents

_MOST = 1 << 16


def secret(path: str) -> str:
    """What a file holds, without the white space around it. Raises `UsageError` for what is no single line."""
    text = contents(path, _MOST).decode("utf-8", "replace").strip()
    if not text or not text.isascii() or not text.isprintable():
        raise UsageError(f"{path}: holds no secret of one line")
    return text
