"""What two manifests of a model differ in."""

from collections.abc import Mapping

import msgspec

from garrison.provenance.hashing.manifest import SINGLE_FILE, Manifest, file_of


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of files below the model, each list in order."""

    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.added or self.changed)


def compare(expected: Manifest, found: Manifest) -> Difference:
    """What is not as expected.

    A model that is one file was given its own name by some signers; it may be called anything now.
    """
    before, now = _files(expected), _files(found)
    if len(before) == len(now) == 1 and SINGLE_FILE in now:
        before = dict(zip([SINGLE_FILE], before.values(), strict=True))
    return Difference(
        missing=tuple(sorted(before.keys() - now.keys())),
        added=tuple(sorted(now.keys() - before.keys())),
        changed=tuple(sorted(name for name, digest in before.items() if now.get(name, digest) != digest)),
    )


_Digest = tuple[str, str]
"""Algorithm and digest."""


def _files(manifest: Manifest) -> Mapping[str, _Digest | dict[str, _Digest]]:
    """The digest of each file; under shards by which part of the file it is of."""
    if manifest.serialization.method == "files":
        return {entry.name: (entry.algorithm, entry.digest) for entry in manifest.entries}
    files: dict[str, dict[str, _Digest]] = {}
    for entry in manifest.entries:
        name = file_of(entry.name, manifest.serialization)
        files.setdefault(name, {})[entry.name[len(name) :]] = (entry.algorithm, entry.digest)
    return files
