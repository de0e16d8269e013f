"""What a file is comes from its bytes, and nothing about one format stands in the way of another."""

import pytest

from garrison.core import registry
from garrison.sources.source import Source
from tests.support import examine_bytes, findings_of, worst

HOSTILE = b"cos\nsystem\n(S'id'\ntR."


def test_a_sniffer_that_fails_is_said_and_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.load

    def load(name: str) -> object:
        def fails(source: Source) -> bool:
            raise ValueError("a bug")

        return fails if name.endswith("zip:sniff") else real(name)

    monkeypatch.setattr("garrison.sources.identification.load", load)
    examination = examine_bytes(HOSTILE, "model.bin")[-1]
    assert examination.state == "failed" and "a bug" in examination.reason
    assert worst(findings_of(HOSTILE, "model.bin")) == "critical"
