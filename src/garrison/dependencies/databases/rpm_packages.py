"""From the headers in a database of rpm to packages, and to what could not be read."""

from collections.abc import Iterable

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from garrison.dependencies.databases import rpm_header
from garrison.sources.source import Extracted


def facts(format: str, headers: Iterable[bytes], problems: list[str]) -> Extracted:
    """One package for each header. Raises `Malformed` at the end if there were problems, with the first of them."""
    packages = keys = 0
    for number, header in enumerate(headers, 1):
        try:
            found = rpm_header.fields(header)
            if rpm_header.is_key(found):
                keys += 1
                continue
            package = rpm_header.package(found, f"entry {number}")
        except Malformed as error:
            problems.append(str(error))
            continue
        packages += 1
        yield package
    yield Artifact(format=format, details={"packages": packages, "keys": keys})
    if problems:
        raise Malformed(f"{problems[0]} (one of {len(problems)})" if len(problems) > 1 else problems[0])
