"""After SIGKILL under load the log verifies, holds every call that was answered, and is continued."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from garrison.serving.record.verification import verify
from tests.serving.record.logs import opened

ROOT = Path(__file__).parents[3]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.mark.parametrize("durability", ["system", "disk"])
def test_what_was_answered_is_on_record_after_a_kill(durability: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    answered: set[str] = set()
    for enough in (400, 37, 333):
        command = [sys.executable, "-m", "tests.serving.record.killed", str(tmp_path / "log"), str(tmp_path / "key")]
        with subprocess.Popen([*command, durability], stdout=subprocess.PIPE, cwd=ROOT) as guard:
            assert guard.stdout is not None
            try:
                for _ in range(enough):
                    answered.add(guard.stdout.readline().decode().strip())
            finally:
                guard.kill()
            answered |= {
                line.strip() for line in guard.stdout.read().decode().splitlines(keepends=True) if "\n" in line
            }
        verdict = verify(str(tmp_path / "log"), [KEY.public_key()])
        assert verdict.problem is None and not verdict.stopped
        recorded = [
            json.loads(line).get("id")
            for path in (tmp_path / "log").glob("audit-*")
            for line in path.read_bytes().splitlines()
        ]
        assert answered <= set(recorded)
        calls = [one for one in recorded if one]
        assert len(calls) == len(set(calls))
    assert "" not in answered
    with opened(tmp_path / "log"):
        pass
    assert verify(str(tmp_path / "log"), [KEY.public_key()]).unsigned == 0
