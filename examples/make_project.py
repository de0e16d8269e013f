"""Write a small project and two advisories to try garrison on: `python examples/make_project.py [DIRECTORY]`.

The advisories are true, and in the form in which OSV exports them; a real database holds hundreds of thousands.
"""

import json
import sys
from pathlib import Path

REQUIREMENTS = """torch==2.5.1
transformers==4.48.0
numpy==1.26.4
pytorch-lightnin==2.4.0
gradio
"""

ADVISORIES = [
    {
        "id": "PYSEC-2025-41",
        "aliases": ["CVE-2025-32434", "GHSA-53q9-r3pm-6pq6"],
        "modified": "2025-05-28T15:23:37Z",
        "summary": "torch.load runs code of a hostile file although weights_only is set",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "package": "torch",
        "fixed": "2.6.0",
    },
    {
        "id": "PYSEC-2024-227",
        "aliases": ["CVE-2024-11392", "GHSA-qxrp-vhvm-j765"],
        "modified": "2025-02-10T23:22:41Z",
        "summary": "transformers unpickles what a hostile MobileViTV2 configuration brings",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H"}],
        "package": "transformers",
        "fixed": "4.48.0",
    },
]


def osv(advisory: dict[str, object]) -> dict[str, object]:
    """An advisory in the OSV schema."""
    events = [{"introduced": "0"}, {"fixed": advisory["fixed"]}]
    package = {"ecosystem": "PyPI", "name": advisory["package"]}
    kept = {key: value for key, value in advisory.items() if key not in ("package", "fixed")}
    return {**kept, "affected": [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]}


def main(directory: Path) -> None:
    (directory / "project").mkdir(parents=True, exist_ok=True)
    (directory / "advisories").mkdir(exist_ok=True)
    (directory / "project" / "requirements.txt").write_text(REQUIREMENTS)
    for advisory in ADVISORIES:
        (directory / "advisories" / f"{advisory['id']}.json").write_text(json.dumps(osv(advisory), indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example"))
