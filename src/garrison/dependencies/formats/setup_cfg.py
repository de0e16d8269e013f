"""`setup.cfg`: what a project that is built by setuptools asks for.

Source: setuptools' "Configuring setuptools using setup.cfg files"; Python's `configparser`, which reads them; pbr.
"""

import re
from collections.abc import Iterator

from garrison.core.errors import Malformed
from garrison.core.facts import AnyFact, Artifact, Reference
from garrison.dependencies.formats.pyproject import requirement
from garrison.dependencies.python_requirement import public
from garrison.sources.source import Context, Extracted, Source

_LARGEST = 4 << 20
_LONGEST = 1 << 14
_NAMED = re.compile(r"%\(([^()]{1,100})\)s")
_GROUPS = {"install_requires": "", "setup_requires": "build-system", "tests_require": "test"}
_INDEXES = {"index_url": "--index-url", "index-url": "--index-url", "find_links": "--find-links"}


def sniff(source: Source) -> bool:
    """Setuptools goes by the name alone."""
    return source.name == "setup.cfg"


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it asks for, each group by its section."""
    import configparser

    text = source.reader.whole(min(context.limits.buffer, _LARGEST)).decode("utf-8", "replace")
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except (configparser.Error, ValueError) as error:
        raise Malformed(f"setuptools cannot read it: {' '.join(str(error).split())[:160]}") from None
    sections = {name: _filled(dict(parser.items(name))) for name in parser.sections()}
    metadata = sections.get("metadata", {})
    details = {key: value[:200] for key, value in metadata.items() if key in ("name", "version") and value}
    options = sections.get("options", {})
    if options.get("python_requires"):
        details["python"] = options["python_requires"][:200]
    yield Artifact(format="setup-cfg", details=dict(details))
    for key, group in _GROUPS.items():
        value = options.get(key) or options.get(key.replace("_", "-")) or ""
        yield from _entries(value, f"options.{key}", group)
    for name, value in sections.get("options.extras_require", {}).items():
        yield from _entries(value, f"options.extras_require.{name}", name)
    for key, detail in _INDEXES.items():
        for target in (sections.get("easy_install", {}).get(key) or "").split():
            yield Reference(target=public(target), role="package-index", detail=detail, place=f"easy_install.{key}")
    for target in (options.get("dependency_links") or "").split():
        place = "options.dependency_links"
        yield Reference(target=public(target), role="package-index", detail="--find-links", place=place)


def _filled(section: dict[str, str]) -> dict[str, str]:
    """Values with `%(name)s` put in, once: what is put in may not grow."""

    def value_of(found: re.Match[str]) -> str:
        return section.get(found[1], found[0])[:_LONGEST]

    return {
        key: _NAMED.sub(value_of, value)[: 4 * _LONGEST].replace("%%", "%") if "%" in value else value
        for key, value in section.items()
    }


def _entries(value: str, place: str, group: str) -> Iterator[AnyFact]:
    """A value on one line is split at semicolons unless they begin markers; `file:` names requirements files."""
    if value.lstrip().startswith("file:"):
        for name in value.strip().removeprefix("file:").split(","):
            yield Reference(target=name.strip(), role="requirement-file", detail="dependencies", place=place)
        return
    lines = [line.strip() for line in value.splitlines() if line.strip() and not line.strip().startswith("#")]
    for number, line in enumerate(lines):
        yield from requirement(line.partition(" #")[0].strip(), f"{place}[{number}]", group)
