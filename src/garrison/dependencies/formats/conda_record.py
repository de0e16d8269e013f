"""`conda-meta/*.json`, in which conda records what it installed into an environment.

Source: conda `conda/models/records.py` (`PrefixRecord`).
"""

import re

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact, Package
from garrison.dependencies.package_places import folders
from garrison.sources.source import Context, Extracted, Source

_NAME = re.compile(r"[^\s=<>!~\[(]+")
_DIGEST = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
_ACCESS = re.compile(r"(?<=://)[^/@]*@|/t/[^/]+(?=/)")
"""A password or a token in a channel's address."""


def sniff(source: Source) -> bool:
    """A document in the folder that conda keeps its records in."""
    return folders(source.subject)[-1:] == ["conda-meta"] and source.reader.pread(0, 64).lstrip()[:1] == b"{"


def extract(source: Source, context: Context) -> Extracted:
    """The package, with the build and the channel that it came from."""
    import msgspec

    from garrison.dependencies.purl import InvalidPackageURL, purl

    yield Artifact(format="conda-record")
    try:
        record = msgspec.json.decode(source.reader.whole(context.limits.buffer))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"not valid JSON: {error}") from None
    if not isinstance(record, dict):
        raise Malformed("no object")
    told = {key: value for key, value in record.items() if isinstance(value, str)}
    name, version = told.get("name", ""), told.get("version", "")
    channel = _ACCESS.sub("", told.get("channel", "")).rstrip("/").removesuffix(f"/{told.get('subdir', '')}")
    qualifiers = {
        "build": told.get("build", ""),
        "channel": channel.rpartition("/")[2],
        "subdir": told.get("subdir", ""),
    }
    try:
        address = purl("conda", name, version, qualifiers=qualifiers)
    except InvalidPackageURL as error:
        raise Malformed(str(error)) from None
    needs = record.get("depends")
    names = (
        [found[0] for one in needs if isinstance(one, str) and (found := _NAME.match(one.strip()))]
        if isinstance(needs, list)
        else []
    )
    yield Package(
        purl=address,
        ecosystem="conda",
        name=name,
        version=version,
        state="installed",
        source=channel,
        hashes=tuple(f"{kind}:{told[kind]}" for kind in ("sha256", "md5") if _DIGEST.fullmatch(told.get(kind, ""))),
        licences=(told["license"],) if told.get("license") else (),
        dependencies=tuple(dict.fromkeys(name for name in names if not name.startswith("__"))),
    )
