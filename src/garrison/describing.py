"""`garrison.describe`: which models, data sets, packages and files there are, as a bill of materials."""

import os
from typing import TYPE_CHECKING

from garrison.core.errors import UsageError
from garrison.core.facts import Package
from garrison.core.policy import Policy
from garrison.core.report import Report
from garrison.core.source_date import source_date
from garrison.reporting.bom.bill import Vocabulary
from garrison.scanning import Progress, scan

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

FORMATS = ("cyclonedx", "cyclonedx-1.7", "spdx")
"""CycloneDX 1.6 and 1.7, and SPDX 3.0.1 with the profiles of AI and data sets."""


def describe(
    path: "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]",
    format: str = "cyclonedx",
    policy: Policy | None = None,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> tuple[str, Report]:
    """The bill of materials of files, directories and archives, in one of `FORMATS`, and the report that it is from.

    Nothing that is examined is executed. The report's coverage says what could not be read; the bill says so too.
    Where `SOURCE_DATE_EPOCH` is set, it is the time in the bill, which then depends on nothing but the files.
    Raises `UsageError` when a path does not exist or that variable is no time. Ctrl-C raises `ScanInterrupted`.
    """
    if format not in FORMATS:
        raise UsageError(f"no format named {format!r}: there are {', '.join(FORMATS)}")
    paths = [os.fspath(path)] if isinstance(path, str | os.PathLike) else [os.fspath(one) for one in path]
    made = source_date()
    report = scan(paths, policy, progress=progress, jobs=jobs, digests=True)
    return written(report, format, made=made, called=_places(paths)), report


def written(
    report: Report, format: str, *, made: "datetime.datetime | None" = None, called: dict[str, str] | None = None
) -> str:
    """The bill of what a report's inventory holds, made when the scan began or at another time.

    `called` are absolute paths of directories by how the scan named them.
    """
    import msgspec.structs

    from garrison.reporting.bom import cyclonedx, spdx
    from garrison.reporting.bom.assembly import assemble

    if made is not None:
        report = msgspec.structs.replace(report, started=made)
    bill = assemble(report, _vocabulary(report), called)
    if format == "spdx":
        return spdx.render(bill)
    return cyclonedx.render(bill, format.partition("-")[2] or "1.6")


def _vocabulary(report: Report) -> Vocabulary:
    from garrison.dependencies.in_use import distribution_of, roots_of
    from garrison.dependencies.licences import expression
    from garrison.dependencies.purl import InvalidPackageURL, purl, with_origin
    from garrison.dependencies.specifiers import pinned

    roots = roots_of(report.inventory)

    def location(package: Package, subject: str) -> str:
        distribution = package.distribution or distribution_of(subject, roots)
        return with_origin(package.purl, distribution, package.source_name, package.source_version)

    def address(ecosystem: str, name: str, version: str) -> str:
        try:
            return purl(ecosystem, name, version)
        except InvalidPackageURL:
            return ""

    return Vocabulary(expression, location, address, pinned)


def _places(paths: list[str]) -> dict[str, str]:
    """Where directories are that are named by how to get there: `.`, `..`, `models/`."""
    directories = ["", *(path for path in paths if os.path.isdir(path))]
    return {path.rstrip("/"): os.path.abspath(path) for path in directories}
