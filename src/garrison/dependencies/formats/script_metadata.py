"""What a single Python script asks for, in a comment that uv, pipx, hatch and pip-run act on.

Source: PEP 723.
"""

import re

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 16
_MARK = b"# /// script"
_BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(?:^#(?:| .*)$\s)+)^# ///$")
"""As PEP 723 gives it, for one type of block."""


def sniff(source: Source) -> bool:
    """The comment begins on a line of its own."""
    head = source.reader.pread(0, _HEAD)
    return head.startswith(_MARK) or b"\n" + _MARK in head


def extract(source: Source, context: Context) -> Extracted:
    """The packages that are installed before the script runs, and the indexes that they come from."""
    import tomllib

    from garrison.dependencies.formats.pyproject import requirements, uv_facts
    from garrison.dependencies.tables import table

    text = source.reader.pread(0, _HEAD).decode("utf-8", "replace").replace("\r\n", "\n")
    found = list(_BLOCK.finditer(text))
    if not found:
        return
    if len(found) > 1:
        raise Malformed("more than one block of script metadata, which tools refuse")
    lines = found[0]["content"].splitlines()
    try:
        document = tomllib.loads("\n".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"script metadata is not valid TOML: {str(error)[:120]}") from None
    python = document.get("requires-python")
    yield Artifact(format="script-metadata", details={"python": python[:200]} if isinstance(python, str) else {})
    yield from requirements(document, "dependencies", "script.dependencies")
    yield from uv_facts(table(table(document, "tool"), "uv"))
