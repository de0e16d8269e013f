"""Yarn's lock files: version 1, and those of later Yarn, which are YAML.

Source: yarnpkg/yarn `src/lockfile/parse.js`; yarnpkg/berry `packages/yarnpkg-core/sources/Project.ts`.
"""

import re
from typing import Any

from garrison.core.errors import Malformed
from garrison.dependencies import npm_addresses
from garrison.dependencies.file_names import of_npm
from garrison.dependencies.locked import DEFAULT, Locked, Origin, public
from garrison.dependencies.plain_documents import duplicates, mapping, table, text_of, word, yaml
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 12
_MARK = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:#[^\n]*)?\r?\n)*(?:# yarn lockfile v1|__metadata:)[ \t]*\r?$", re.MULTILINE
)
"""Only comments stand before it: a program that quotes such a file is none."""
_RELEASE = re.compile(r"\d+\.\d+\.\d+(?:[-+][\w.+\-]+)?")
_HEADER = re.compile(r"(\S.*):$")
_FIELD = re.compile(r"""( {2}| {4})("(?:[^"\\]|\\.)*"|[^\s":]+):?(?: (.*))?$""")
_SPECIFIERS = re.compile(r'"(?:[^"\\]|\\.)*"|[^,\s][^,]*')
_ARCHIVE = re.compile(r"::(?:.*&)?__archiveUrl=([^&]+)")


def sniff(source: Source) -> bool:
    """Its name, by which Yarn goes, or Yarn's first lines."""
    return source.name.lower() == "yarn.lock" or bool(_MARK.match(source.reader.pread(0, _HEAD)))


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it fixes."""
    text = text_of(source, context)
    found = Locked("yarn-lock")
    if re.search(r"^__metadata:", text, re.MULTILINE):
        repeated: list[str] = []
        document = mapping(yaml(text, context, repeated), "__metadata")
        yield from duplicates(repeated)
        found.details["lock version"] = word(table(document.get("__metadata")).get("version"))[:20]
        _berry(found, document, context)
    else:
        found.details["lock version"] = "1"
        _classic(found, text, context)
    yield from found.facts()


def _classic(found: Locked, text: str, context: Context) -> None:
    entry: dict[str, Any] | None = None
    inner: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if number % 8192 == 0:
            context.check_time()
        line = line.rstrip()
        if not line or line.startswith("#"):
            continue
        if header := _HEADER.match(line):
            _flush(found, entry)
            entry = {"": [_unquoted(one) for one in _SPECIFIERS.findall(header[1])], "line": number}
        elif (field := _FIELD.match(line)) and entry is not None:
            key, value = _unquoted(field[2]), _unquoted(field[3] or "")
            if len(field[1]) == 4:
                inner[key] = value
            elif value:
                entry[key] = value
            else:
                inner = entry.setdefault("dependencies", {})
        else:
            raise Malformed(f"line {number} is none of a Yarn lock")
    _flush(found, entry)


def _flush(found: Locked, entry: dict[str, Any] | None) -> None:
    if entry is None:
        return
    place, version, resolved = f"line {entry['line']}", word(entry.get("version")), word(entry.get("resolved"))
    names = {npm_addresses.alias(range) or name for name, range in map(_split, entry[""])}
    name = min(names, default="")
    plain = resolved.partition("#")[0]
    if len(names) > 1 or (resolved and not of_npm(plain, name, version)):
        found.misnamed(f"{' and '.join(sorted(names)[:3])} {version} ({public(plain)})")
    origin = npm_addresses.origin(resolved if not plain.startswith("http") or _is_git(plain) else plain)
    local = next((range for _, range in map(_split, entry[""]) if range.startswith(("file:", "link:"))), "")
    found.add(
        "npm",
        name,
        version,
        place=place,
        origin=npm_addresses.origin(local) if local and not resolved else origin,
        hashes=[*npm_addresses.integrity(word(entry.get("integrity"))), *npm_addresses.fragment_hash(resolved)],
        dependencies=entry.get("dependencies", {}),
    )


def _is_git(address: str) -> bool:
    return address.endswith(".git")


def _berry(found: Locked, document: dict[str, Any], context: Context) -> None:
    asked = {
        name
        for value in document.values()
        if "@workspace:" in word(table(value).get("resolution"))
        for name in table(table(value).get("dependencies"))
    }
    for number, (key, value) in enumerate(document.items()):
        if number % 1024 == 0:
            context.check_time()
        entry = table(value)
        name, reference = _split(word(entry.get("resolution")))
        if key == "__metadata" or reference.startswith("workspace:"):
            continue
        descriptors = [_split(one.strip()) for one in key.split(", ")]
        wanted = {npm_addresses.alias(range) or own for own, range in descriptors}
        version = word(entry.get("version"))
        if reference.startswith("npm:") and wanted == {name} and _RELEASE.fullmatch(reference, 4):
            if reference[4:] != version:
                found.contradictory(f"{name} {version} ({reference[4:200]})")
                # What is fetched is what is held against advisories.
                version = reference[4:]
        elif reference.startswith("npm:") and (wanted != {name} or not _is_version(reference, version)):
            found.misnamed(f"{' and '.join(sorted(wanted)[:3])} {version} ({name}@{reference[:200]})")
        checksum = word(entry.get("checksum")).rpartition("/")[2]
        origin = _berry_origin(reference)
        found.add(
            "npm",
            name,
            version,
            place=key[:200],
            origin=origin,
            hashes=[f"sha512:{checksum}"] if checksum else [],
            # What only other platforms need is not fetched, so that it has no checksum.
            hashable="conditions" not in entry and not reference.startswith("patch:"),
            dependencies=table(entry.get("dependencies")),
            direct=name in asked or any(own in asked for own, _ in descriptors) if asked else None,
        )


def _is_version(reference: str, version: str) -> bool:
    return reference[4:].partition("::")[0] == version


def _berry_origin(reference: str) -> Origin:
    if reference.startswith(("npm:", "patch:")):
        archive = _ARCHIVE.search(reference)
        if archive is None:
            return DEFAULT
        from garrison.dependencies.purl import decoded

        return npm_addresses.origin(decoded(archive[1]))
    return npm_addresses.origin(reference.partition("::")[0])


def _split(specifier: str) -> tuple[str, str]:
    """Name and range of `name@range` and `@scope/name@range`."""
    at = specifier.find("@", 1)
    return (specifier[:at], specifier[at + 1 :]) if at > 0 else (specifier, "")


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] == '"' == text[-1:] and len(text) > 1 else text
