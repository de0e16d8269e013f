"""Advisories and exports made for tests."""

import json
import zipfile
from pathlib import Path
from typing import Any


def document(id: str = "PYSEC-2024-1", name: str = "example", **more: Any) -> dict[str, Any]:
    """An advisory as OSV has it; `more` replaces or adds fields."""
    ecosystem = more.pop("ecosystem", "PyPI")
    fixed = more.pop("fixed", "1.5")
    return {
        "id": id,
        "modified": "2024-05-01T00:00:00Z",
        "summary": f"{name} does harm",
        "affected": [
            {
                "package": {"ecosystem": ecosystem, "name": name},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
                "versions": ["1.0", "1.4"],
            }
        ],
        **more,
    }


def export(path: Path, *documents: dict[str, Any], **raw: bytes) -> str:
    """An export like OSV's: a zip with one JSON file for each advisory; `raw` are further members as they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, one in enumerate(documents):
            archive.writestr(f"{number}/{one['id']}.json", json.dumps(one))
        for name, data in raw.items():
            archive.writestr(f"{name}.json", data)
    return str(path)
