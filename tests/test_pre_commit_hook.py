"""The hook for pre-commit: which files it is given, and what its command says of them."""

import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from garrison.core.registry import formats

HOOKS = Path(__file__).parents[1] / ".pre-commit-hooks.yaml"


@pytest.fixture
def hook() -> Any:
    (hook,) = yaml.safe_load(HOOKS.read_text())
    return hook


def test_files_that_it_is_given(hook: Any) -> None:
    given = re.compile(hook["files"]).search
    endings = {ending for entry in formats().values() if entry.model for ending in entry.extensions} - {".json"}
    assert [ending for ending in endings if not given(f"models/a{ending}")] == []
    names = (
        "requirements.txt requirements-dev.in pyproject.toml poetry.lock uv.lock pylock.toml Pipfile package-lock.json"
    )
    packed = "models.zip models.tar.gz a.llamafile a.mar a.cloudpickle a/tokenizer_config.json chat_template.jinja"
    for name in (
        *names.split(),
        *packed.split(),
        "deep/environment.yml",
        "a.PKL",
        "model.joblib.gz",
        "pytorch_model.bin",
    ):
        assert given(name), name
    for name in (
        "README.md",
        "src/module.py",
        "picture.png",
        "bin",
        "a.pkl.py",
        "docs/pkl",
        "page.jinja",
        "my-pyproject.toml.md",
    ):
        assert not given(name), name


def test_its_command(hook: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", *hook["entry"].split()]
    (tmp_path / "good.pkl").write_bytes(pickle.dumps([1]))
    (tmp_path / "bad.pkl").write_bytes(b"cposix\nsystem\n(S'id'\ntR.")
    assert subprocess.run([*command, "good.pkl"], cwd=tmp_path, capture_output=True).returncode == 0
    done = subprocess.run([*command, "good.pkl", "bad.pkl"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "bad.pkl" in done.stdout
