"""`direct_url.json`, in which installers record that a package did not come from an index.

Source: the packaging user guide, "Recording the direct URL origin of installed distributions" and "Direct URL data
structure".
"""

from typing import Any

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact, Reference
from garrison.dependencies.package_places import folders
from garrison.sources.source import Context, Extracted, Source


def sniff(source: Source) -> bool:
    """Named so, in the folder of an installed package."""
    above = folders(source.subject)
    return bool(above) and above[-1].endswith(".dist-info")


def extract(source: Source, context: Context) -> Extracted:
    """Where the package was taken from, pinned to the revision or the digest that was got."""
    import msgspec

    yield Artifact(format="direct-url")
    try:
        document = msgspec.json.decode(source.reader.whole(context.limits.buffer))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"not valid JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("url"), str):
        raise Malformed("names no address")
    package = folders(source.subject)[-1].removesuffix(".dist-info").partition("-")[0]
    yield Reference(target=_target(document), role="package", trigger="carried", detail=package, place="url")


def _target(document: dict[str, Any]) -> str:
    url: str = document["url"]
    control, archive = document.get("vcs_info"), document.get("archive_info")
    if isinstance(control, dict):
        commit = control.get("commit_id")
        return f"{control.get('vcs', 'git')}+{url}" + (f"@{commit}" if isinstance(commit, str) else "")
    if isinstance(archive, dict):
        hashes = archive.get("hashes")
        digest = archive.get("hash") or (f"sha256={hashes.get('sha256')}" if isinstance(hashes, dict) else "")
        return f"{url}#{digest}" if isinstance(digest, str) and digest else url
    return url
