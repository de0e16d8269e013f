"""`Pipfile`: what Pipenv is asked for.

Source: Pipenv's "Pipfile & Pipfile.lock" and "Specifiers".
"""

from garrison.core.facts import Artifact, Reference
from garrison.dependencies.formats.pyproject import read_toml, unverified
from garrison.dependencies.poetry_tables import packages
from garrison.dependencies.python_requirement import public
from garrison.dependencies.tables import named_tables, table
from garrison.sources.source import Context, Extracted, Source

_OWN = frozenset({"source", "requires", "scripts", "pipenv"})


def sniff(source: Source) -> bool:
    """Pipenv goes by the name alone."""
    return source.name == "Pipfile"


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it asks for, by section, and the indexes that they are to come from."""
    document = read_toml(source, context)
    requires = table(document, "requires")
    details = {key: value for key, value in requires.items() if isinstance(value, str)}
    yield Artifact(format="pipfile", details=dict(details))
    indexes: dict[str, str] = {}
    for number, index in named_tables(document.get("source")):
        name, url = index.get("name"), index.get("url")
        if not isinstance(url, str):
            continue
        if isinstance(name, str):
            indexes[name] = url
        # Pipenv takes a package from the first index, unless it names another one.
        detail = "explicit index" if number else "default index"
        place = f"source[{number}]"
        yield Reference(target=public(url), role="package-index", detail=detail, place=place)
        yield from unverified(index, public(url), place)
    for section in document:
        if section not in _OWN:
            group = {"packages": "", "dev-packages": "dev"}.get(section, section)
            yield from packages(table(document, section), section, group, indexes=indexes)
