"""TOML documents: configurations of models and servers.

Source: TOML 1.0.0, as Python's `tomllib` reads it.
"""

import re

from garrison.artifacts.documents import walk
from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_LINE = re.compile(rb"^(?:\[{1,2}[\w.\-\" ]+\]{1,2}|[\w.\-\"]+\s*=\s*\S.*)$")


def sniff(source: Source) -> bool:
    """Its name, or a first line that is a table or a key, with all of it in order."""
    head = source.reader.pread(0, 1 << 16)
    if source.name.lower().endswith(".toml"):
        return True
    first = next((line.strip() for line in head.splitlines() if line.strip() and not line.startswith(b"#")), b"")
    if len(head) == 1 << 16 or not _LINE.match(first):
        return False
    try:
        return bool(_read(head))
    except Malformed:
        return False


def _read(data: bytes) -> dict[str, object]:
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not valid TOML: {str(error)[:120]}") from None


def extract(source: Source, context: Context) -> Extracted:
    """What loaders of this document act on."""
    yield Artifact(format="toml")
    yield from walk(source, _read(source.reader.whole(min(context.limits.buffer, 4 << 20))), context)
