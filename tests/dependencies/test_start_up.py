"""Files that are no manifests must not make the readers of manifests be imported: every scan would pay for it."""

import subprocess
import sys

import pytest

from garrison.core.facts import Artifact
from tests.support import facts_of

_ASK = """
import sys
from garrison.core.limits import Limits
from garrison.sources.examination import examine
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Source
data = bytes.fromhex(sys.argv[2])
list(examine(Source(sys.argv[1], BytesReader(data)), Context(Limits(), len(data))))
print(*(name for name in sys.modules if name.startswith("garrison.dependencies.")))
"""
_CHEAP = {
    "garrison.dependencies.formats",
    "garrison.dependencies.formats.image_layout",
    "garrison.dependencies.formats.image_archive",
    "garrison.dependencies.formats.conda_record",
    "garrison.dependencies.images",
    "garrison.dependencies.images.places",
    "garrison.dependencies.package_places",
}


def _imported(name: str, data: bytes) -> set[str]:
    command = [sys.executable, "-c", _ASK, name, data.hex()]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("config.json", b'{"hidden_size": 768, "model_type": "bert"}'),
        ("model.pkl", b"\x80\x04}\x94."),
        ("params.toml", b"[training]\nrate = 0.1\n"),
    ],
)
def test_an_ordinary_file_imports_no_reader_of_a_manifest(name: str, data: bytes) -> None:
    assert _imported(name, data) <= _CHEAP


@pytest.mark.parametrize(
    ("name", "data", "format"),
    [
        ("pdm.dev.lock", b'[metadata]\nlock_version = "4.5.0"\n', "pdm-lock"),
        ("renamed.json", b'{"lockfileVersion": 3, "packages": {"node_modules/a": {"version": "1.0"}}}', "npm-lock"),
        ("late.json", b'{"x": "' + b"y" * 70_000 + b'", "bomFormat": "CycloneDX"}', "cyclonedx-bom"),
    ],
)
def test_a_manifest_is_known_by_its_name_or_by_a_mark_at_either_end(name: str, data: bytes, format: str) -> None:
    assert any(isinstance(fact, Artifact) and fact.format == format for fact in facts_of(data, name))
