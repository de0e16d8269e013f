"""`pixi.toml`: what pixi is asked for.

Source: pixi's "Pixi Manifest" reference.
"""

from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source


def sniff(source: Source) -> bool:
    """pixi goes by the name alone."""
    return source.name == "pixi.toml"


def extract(source: Source, context: Context) -> Extracted:
    """The packages of conda and of PyPI that it asks for, and where they are to come from."""
    from garrison.dependencies import pixi_tables
    from garrison.dependencies.formats.pyproject import read_toml
    from garrison.dependencies.tables import table

    document = read_toml(source, context)
    name = table(document, "workspace").get("name", table(document, "project").get("name"))
    yield Artifact(format="pixi-manifest", details={"name": name[:200]} if isinstance(name, str) else {})
    yield from pixi_tables.facts(document)
