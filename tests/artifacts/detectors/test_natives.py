"""A program is judged by its company: ordinary in software, alarming with a model."""

import pickle

import pytest

from tests.artifacts.natives import elf, pe, zipped
from tests.support import findings_of, worst

MODEL = pickle.dumps({"weights": [1.0, 2.0]}, 4)
GGUF_LIKE = pickle.dumps([1], 2)


def rules(data: bytes | dict[str, bytes], name: str = "subject") -> dict[str, str]:
    """The worst severity of each rule."""
    found: dict[str, str] = {}
    for item in sorted(findings_of(data, name), key=lambda item: item.severity.rank):
        found[item.rule] = str(item.severity)
    return found


@pytest.mark.parametrize("program", [elf(), pe(), b"\0asm\x01\0\0\0"])
def test_a_program_alone_is_only_named(program: bytes) -> None:
    assert rules(program, "tool") == {"native-code": "info"}


def test_a_program_packed_with_a_model() -> None:
    assert rules(zipped({"model.pkl": MODEL, "hidden": elf()}), "a.zip")["executable-in-model"] == "high"
    assert rules(zipped({"m/model.pkl": MODEL, "tools/hidden": elf()}), "a.zip")["executable-in-model"] == "medium"


@pytest.mark.parametrize("name", ["model.nemo", "model.pt", "model.keras", "model.skops"])
def test_a_program_in_an_archive_that_is_a_model(name: str) -> None:
    assert rules(zipped({"config.yaml": b"model: x\n", "run": elf()}), name)["executable-in-model"] == "high"
    assert rules(zipped({"run.sh": b"#!/bin/sh\nrm -rf /\n"}), name)["executable-in-model"] == "medium"


def test_marks_of_software_do_not_excuse_a_model_archive() -> None:
    files = {"model.nemo": zipped({"setup.py": b"", "weights.pkl": MODEL, "run": elf()})}
    assert rules(files)["executable-in-model"] == "high"


def test_a_program_beside_a_model_on_disk() -> None:
    assert rules({"m/model.pkl": MODEL, "m/libx.so": elf()})["executable-in-model"] == "medium"
    assert rules({"m/model.pkl": MODEL, "bin/libx.so": elf()}) == {"native-code": "info"}
    assert rules({"m/model.pkl": MODEL, "m/train.sh": b"#!/bin/sh\npython train.py\n"}) == {}


def test_software_has_native_code() -> None:
    wheel = zipped(
        {"pkg/_core.so": elf(), "pkg/tests/sample.pkl": MODEL, "pkg-1.dist-info/WHEEL": b"Wheel-Version: 1.0\n"}
    )
    assert findings_of(wheel, "pkg.whl") == []
    project = {"p/setup.py": b"import setuptools\n", "p/x/lib.so": elf(), "p/x/sample.pkl": MODEL}
    assert worst(findings_of(project)) == "low"
    package = {"p/__init__.py": b"import os\n", "p/_ext.so": elf(), "p/sample.pkl": MODEL}
    assert worst(findings_of(package)) == "low"


def test_scripts_in_a_project_are_ordinary() -> None:
    assert worst(findings_of({"build.sh": b"#!/bin/sh\nmake\n", "make.bat": b"@echo off\r\n"})) == "none"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "model.onnx", "x/weights.pt"])
def test_a_program_under_a_models_name(name: str) -> None:
    assert rules(elf(), name)["executable-as-model"] == "high"
    assert rules(pe(), name)["executable-as-model"] == "high"


def test_a_program_that_carries_its_model() -> None:
    carrier = elf() + zipped({"model.pkl": GGUF_LIKE})
    assert rules(carrier, "run")["executable-with-model"] == "medium"
    assert rules(elf(), "mistral.llamafile")["executable-with-model"] == "medium"
    assert "executable-with-model" not in rules(elf() + zipped({"readme.txt": b"hello"}), "setup")


def test_a_picture_that_is_also_an_archive() -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(100)
    assert rules(picture + zipped({"model.pkl": MODEL}), "x.png")["polyglot"] == "medium"
    assert "polyglot" not in rules(picture, "x.png")
    assert "polyglot" not in rules(zipped({"model.pkl": MODEL}), "x.zip")
