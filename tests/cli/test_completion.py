"""Completion scripts load in their shells and offer what the command takes."""

import shutil
import subprocess

import pytest

from garrison.cli.main import COMMANDS, main


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_name_every_command_and_load(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    assert all(name in text for name in COMMANDS)
    assert "sarif" in text and "malformed" in text
    if shutil.which(shell):
        options = ["-n"] if shell != "fish" else ["--no-execute"]
        done = subprocess.run([shell, *options], input=text, capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sc"], {"scan", "schema"}),
        (["scan", "--form"], {"--format"}),
        (["scan", "--format", "s"], {"sarif"}),
        (["scan", "--threshold", "c"], {"critical"}),
        (["completion", "z"], {"zsh"}),
        (["explain", "malf"], {"malformed"}),
        (["db", "up"], {"update"}),
    ],
)
def test_bash_offers(words: list[str], offered: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    text = script("bash", capsys)
    line = " ".join(f"'{word}'" for word in ["garrison", *words])
    text += f'COMP_WORDS=({line}); COMP_CWORD={len(words)}; _garrison; printf "%s\\n" "${{COMPREPLY[@]}}"\n'
    done = subprocess.run(["bash"], input=text, capture_output=True, text=True)
    assert set(done.stdout.split()) == offered, done.stderr
