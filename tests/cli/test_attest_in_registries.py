"""`garrison attest --output oci://…`: what is said of a model goes to where the model is."""

from pathlib import Path

import pytest

from garrison.cli.main import main
from garrison.provenance.gate import Piece
from garrison.provenance.gate.sources.registries import attached
from tests.sources.oci import memory


def test_attestations_are_attached_in_registries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    Path("model").write_bytes(b"weights")
    assert main(["key", "generate", "--output", "key"]) == 0
    with memory.serving() as server:
        server.artifact("application/x", ("application/x", b"weights"), tag="1")
        reference = f"oci://{server.host}/team/model:1"
        assert main(["attest", "approval", "model", "--key", "key", "--output", reference]) == 0
        assert f"in oci://{server.host}/team/model@sha256:" in capsys.readouterr().out
        (one,) = attached(reference)
        assert isinstance(one, Piece)
        Path("approval.json").write_bytes(one.data)
        assert main(["attest", "verify", "model", "--public-key", "key.pub", "--evidence", "approval.json"]) == 0
        for wrong in (f"oci://{server.host}/team/model:2", "oci://127.0.0.1:1/a", "oci://A B"):
            capsys.readouterr()
            assert main(["attest", "approval", "model", "--key", "key", "--output", wrong]) == 2
            assert wrong in capsys.readouterr().err
