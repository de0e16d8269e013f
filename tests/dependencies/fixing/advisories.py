"""A small advisory database of the tests' own."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from garrison.dependencies.advisories.updating import update


def build(folder: Path, fixed: Mapping[str, Sequence[str]], malicious: Sequence[str] = ()) -> str:
    """One advisory for each package and each version that fixes something; an empty one is never fixed."""
    source = folder / "advisories"
    source.mkdir(parents=True)
    entries = [
        (name, version, number) for name, versions in fixed.items() for number, version in enumerate(versions, 1)
    ]
    for name, version, number in [*entries, *((name, "", 0) for name in malicious)]:
        id = f"{'PYSEC' if number else 'MAL'}-2024-{name}-{number}"
        events = [{"introduced": "0"}, *([{"fixed": version}] if version else [])]
        document = {
            "id": id,
            "modified": "2024-05-01T00:00:00Z",
            "summary": f"{name} does what it should not",
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": name},
                    "ranges": [{"type": "ECOSYSTEM", "events": events}],
                }
            ],
        }
        (source / f"{id}.json").write_text(json.dumps(document))
    path = str(folder / "advisories.sqlite")
    update([str(source)], path)
    return path
