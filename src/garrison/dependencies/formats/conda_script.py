"""Scripts of conda packages that run when they are linked into an environment or taken out.

Source: conda-build documentation, "Adding pre-link, post-link, and pre-unlink scripts".
"""

import re

from garrison.core.facts import Artifact, EmbeddedCode
from garrison.sources.source import Context, Extracted, Source

_NAME = re.compile(r"(?:^|-)((?:post|pre)-(?:un)?link)\.(?:sh|bat)$")


def sniff(source: Source) -> bool:
    """Named as conda runs it: its package's name may stand before."""
    return bool(_NAME.search(source.name))


def extract(source: Source, context: Context) -> Extracted:
    """The whole script, as far as texts are kept."""
    found = _NAME.search(source.name)
    text = source.reader.pread(0, context.limits.text).decode("utf-8", "replace")
    yield Artifact(format="conda-script")
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "@echo", "rem "))
    ]
    if found and lines:
        form = f"conda {found[1]} script"
        yield EmbeddedCode(language="shell", form=form, trigger="carried", excerpt="\n".join(lines))
