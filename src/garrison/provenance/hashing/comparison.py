"""What two manifests of a model differ in."""

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
        changed=tuple(sorted(name for name in before.keys() & now.keys() if before[name] != now[name])),
    )


_Digests = dict[str, tuple[str, str]]
"""Algorithm and digest, by which part of a file they are of."""


def _files(manifest: Manifest) -> dict[str, _Digests]:
    files: dict[str, _Digests] = {}
    for entry in manifest.entries:
        name = file_of(entry.name, manifest.serialization)
        files.setdefault(name, {})[entry.name[len(name) :]] = (entry.algorithm, entry.digest)
    return files
