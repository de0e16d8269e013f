"""SPDX bills of materials of version 2: JSON, YAML and tag-value.

Source: SPDX 2.2 (ISO/IEC 5962) and 2.3, with the conformance and serialisation annexes.
"""

import re
from collections.abc import Iterator
from typing import Any

from garrison.core.errors import Malformed
from garrison.dependencies.listed import Listed
from garrison.dependencies.plain_documents import (
    duplicates,
    json,
    plain_head,
    table,
    tables,
    text_of,
    word,
    words,
    yaml,
)
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 16
_JSON = re.compile(rb'"spdxVersion"\s*:\s*"SPDX-2')
_TAGS = re.compile(rb"^SPDXVersion:\s*SPDX-2", re.MULTILINE)
_YAML = re.compile(rb"^[\"']?spdxVersion[\"']?\s*:\s*[\"']?SPDX-2", re.MULTILINE)
_TAG = re.compile(r"([A-Za-z]+): ?(.*)")
_ABSENT = frozenset({"", "NOASSERTION", "NONE"})
_OF_PACKAGES = {
    "PackageName": "name",
    "SPDXID": "SPDXID",
    "PackageVersion": "versionInfo",
    "PackageLicenseConcluded": "licenseConcluded",
    "PackageLicenseDeclared": "licenseDeclared",
    "PrimaryPackagePurpose": "primaryPackagePurpose",
}
_ON = {"DEPENDS_ON": False, "DEPENDENCY_OF": True, "DYNAMIC_LINK": False, "STATIC_LINK": False}
_SCOPES = {"DEV_DEPENDENCY_OF": "dev", "TEST_DEPENDENCY_OF": "test", "BUILD_DEPENDENCY_OF": "build"}
_SKIPPED = frozenset({"FILE", "SOURCE", "ARCHIVE", "DEVICE", "FIRMWARE"})


def sniff(source: Source) -> bool:
    """The version of the format, as each of its forms writes it."""
    size = source.reader.size if not source.depth else 0
    head = plain_head(source, _HEAD)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return bool(_JSON.search(head) or (size > _HEAD and _JSON.search(source.reader.pread(size - 4096, 4096))))
    return bool(_TAGS.search(head) or _YAML.search(head))


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it lists."""
    text = text_of(source, context)
    repeated: list[str] = []
    if text.lstrip().startswith("{"):
        document = table(json(text, repeated))
        # The dependency graph of a forge wraps the document; an attestation carries it as its predicate.
        document = table(document.get("sbom")) or table(document.get("predicate")) or document
    elif re.search(r"^SPDXVersion:", text, re.MULTILINE):
        document = _from_tags(text, context)
    else:
        document = table(yaml(text, context, repeated))
    yield from duplicates(repeated)
    if not word(document.get("spdxVersion")).startswith("SPDX-2"):
        raise Malformed("says nowhere that it is SPDX 2")
    found = Listed("spdx-document")
    found.details["specification"] = word(document.get("spdxVersion"))[:20]
    found.details["describes"] = word(document.get("name"))[:200]
    graph = _Graph(document, context)
    found.entries(document.get("packages"), "packages")
    for number, package in enumerate(tables(document.get("packages"))):
        if number % 256 == 0:
            context.check_time()
        found.texts(package, f"packages[{number}]", "name", "versionInfo", "primaryPackagePurpose")
        for place, one in enumerate(tables(package.get("externalRefs"))):
            found.texts(one, f"packages[{number}].externalRefs[{place}]", "referenceType", "referenceLocator")
        _add(found, package, graph, f"packages[{number}]")
    yield from found.facts()


def _add(found: Listed, package: dict[str, Any], graph: "_Graph", place: str) -> None:
    name, version = word(package.get("name")), word(package.get("versionInfo"))
    purpose = word(package.get("primaryPackagePurpose")).upper().replace("-", "_")
    reference = word(package.get("SPDXID"))
    addresses = [
        word(one.get("referenceLocator"))
        for one in tables(package.get("externalRefs"))
        if word(one.get("referenceType")).rpartition("/")[2].lower() in ("purl", "package-url")
    ]
    if purpose == "OPERATING_SYSTEM":
        found.add_system(name, version, place)
        return
    if not addresses and (purpose in _SKIPPED or reference in graph.described):
        return
    # A package may be known by several addresses, and any of them may be the one that advisories know.
    for address in dict.fromkeys(addresses or [""]):
        found.add(
            address,
            name,
            version if version not in _ABSENT else "",
            place=place,
            hashes=_hashes(package),
            licences=_licences(package),
            group=graph.scope(reference),
            dependencies=graph.dependencies(reference),
            direct=graph.direct(reference),
        )


def _hashes(package: dict[str, Any]) -> list[str]:
    return [
        f"{word(one.get('algorithm')).lower().replace('_', '').replace('-', '')}:{word(one.get('checksumValue'))}"
        for one in tables(package.get("checksums"))
        if word(one.get("checksumValue"))
    ]


def _licences(package: dict[str, Any]) -> list[str]:
    both = (word(package.get("licenseConcluded")), word(package.get("licenseDeclared")))
    return [one for one in both if one not in _ABSENT][:1]


class _Graph:
    """Who depends on whom, whichever way round the document puts it."""

    def __init__(self, document: dict[str, Any], context: Context) -> None:
        self._names = {word(one.get("SPDXID")): word(one.get("name")) for one in tables(document.get("packages"))}
        self._edges: dict[str, dict[str, None]] = {}
        self._scopes: dict[str, str] = {}
        self.described = set(words(document.get("documentDescribes")))
        for number, one in enumerate(tables(document.get("relationships"))):
            if number % 4096 == 0:
                context.check_time()
            kind = word(one.get("relationshipType"))
            left, right = word(one.get("spdxElementId")), word(one.get("relatedSpdxElement"))
            if kind == "DESCRIBES":
                self.described.add(right)
            elif kind in _SCOPES:
                self._scopes[left] = _SCOPES[kind]
                self._edges.setdefault(right, {})[left] = None
            elif kind in _ON:
                first, second = (right, left) if _ON[kind] else (left, right)
                self._edges.setdefault(first, {})[second] = None
        self._asked = {one for root in self.described for one in self._edges.get(root, ())}

    def dependencies(self, reference: str) -> list[str]:
        return [self._names[one] for one in self._edges.get(reference, ()) if self._names.get(one)]

    def direct(self, reference: str) -> bool | None:
        return reference in self._asked if self._asked and reference not in self.described else None

    def scope(self, reference: str) -> str:
        return self._scopes.get(reference, "")


def _from_tags(text: str, context: Context) -> dict[str, Any]:
    """The tag-value form under the names of the JSON form."""
    document: dict[str, Any] = {"packages": [], "relationships": []}
    package: dict[str, Any] | None = None
    for number, (tag, value) in enumerate(_tags(text)):
        if number % 8192 == 0:
            context.check_time()
        if tag == "PackageName":
            package = {"externalRefs": [], "checksums": []}
            document["packages"].append(package)
        elif tag in ("FileName", "SnippetSPDXID", "LicenseID"):
            package = None
        if tag == "SPDXVersion":
            document["spdxVersion"] = value
        elif tag == "DocumentName":
            document["name"] = value
        elif tag == "Relationship":
            parts = value.split()
            if len(parts) >= 3:
                document["relationships"].append(
                    {"spdxElementId": parts[0], "relationshipType": parts[1], "relatedSpdxElement": parts[2]}
                )
        elif package is not None:
            _tag_of_package(package, tag, value)
    return document


def _tag_of_package(package: dict[str, Any], tag: str, value: str) -> None:
    if key := _OF_PACKAGES.get(tag):
        package[key] = value
    elif tag == "ExternalRef":
        parts = value.split()
        if len(parts) >= 3:
            package["externalRefs"].append({"referenceType": parts[1], "referenceLocator": parts[2]})
    elif tag == "PackageChecksum":
        kind, _, digest = value.partition(":")
        package["checksums"].append({"algorithm": kind, "checksumValue": digest.strip()})


def _tags(text: str) -> Iterator[tuple[str, str]]:
    """Tags with their values; a text may go over many lines, and what stands in it is no tag."""
    inside = False
    for line in text.splitlines():
        if inside:
            inside = "</text>" not in line
            continue
        found = _TAG.match(line)
        if found:
            value = found[2].strip()
            inside = "<text>" in value and "</text>" not in value
            yield found[1], re.sub(r"</?text>", "", value)
