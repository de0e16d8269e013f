"""Sealed files: for how many and which kinds of recipients; what is in them is for those alone.

Source: https://age-encryption.org/v1.
"""

from typing import cast

from garrison.core.errors import Malformed, NotUnderstood
from garrison.core.facts import Artifact
from garrison.provenance.sealing.refusals import MalformedArmor, MalformedHeader
from garrison.sources.source import Context, Extracted, Source

_KINDS = 8
_CHARACTERS = 40
"""Of kinds of recipients that are told, and of each."""


def extract(source: Source, context: Context) -> Extracted:
    """What the header says. Raises `NotUnderstood` behind it, since the rest is not examined; or `Malformed`."""
    from garrison.provenance.sealing.sealed_file import header_of

    with source.reader.file() as file:
        try:
            header, armored, _ = header_of(file)
        except (MalformedHeader, MalformedArmor) as error:
            raise Malformed(str(error)) from None
    kinds = sorted({stanza.kind for stanza in header.stanzas})
    told = ", ".join(kind[:_CHARACTERS] for kind in kinds[:_KINDS])
    details = {"recipients": len(header.stanzas), "kinds": told, "armored": armored}
    yield Artifact(format="age", details=cast("dict[str, str | int | float | bool]", details))
    raise NotUnderstood("it is sealed, and what is in it was not examined: open it, and scan what comes out")
