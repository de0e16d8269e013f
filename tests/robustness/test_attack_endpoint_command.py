"""`garrison attack` on an endpoint: within its budget, and on from where it was stopped."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from garrison.cli.main import main
from garrison.core.robustness_card import Card
from tests.robustness.endpoints.server import Server, serving, status


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture
def address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Inputs that the server's model is right about, in test.npz."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    inputs = random.random((60, 4), dtype=np.float32)
    from tests.robustness.endpoints.server import logits

    np.savez("test.npz", x=inputs, y=np.asarray(logits(inputs)).argmax(1))
    return f"{server.address}/v2/models/model"


def attack(address: str, *arguments: str) -> int:
    budget = ["--budget", "linf:0.2", "--effort", "quick", "--samples", "20", "--kind", "table"]
    return main(["attack", address, "--data", "test.npz", *budget, "--only", "evasion", *arguments])


def card() -> Card:
    return msgspec.json.decode(Path("card.json").read_bytes(), type=Card)


def test_an_endpoint_is_attacked_through_its_scores(address: str) -> None:
    assert attack(address, "--card", "card.json") == 0
    found = card()
    assert found.model.access == "scores"
    assert found.model.format == "endpoint"
    assert found.clean_accuracy.value == 1
    assert found.evasion[0].robust_accuracy.value < 1
    assert [row.attack for row in found.evasion[0].attacks] == ["square"]
    assert any("apgd" in one.what for one in found.omitted)


def test_a_key_in_the_address_is_shown_nowhere(
    address: str, server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address += "?key=opensesame%21&b=1"
    monkeypatch.setattr("sys.argv", ["garrison", "attack", address])
    assert (
        attack(address, "--card", "card.json", "--html", "card.html", "--journal", "asked.journal", "--queries", "60")
        == 0
    )
    server.faults = [lambda handler: status(400, f"no {handler.path}, opensesame!")(handler)]
    assert attack(address) == 3
    shown = "".join(capsys.readouterr())
    assert "no /v2/models/model/infer" in shown
    for text in (shown, *(Path(name).read_text() for name in ("card.json", "card.html", "asked.journal"))):
        assert "opensesame" not in text
    assert "/v2/models/model" in " ".join(card().command)


def test_a_table_is_attacked_within_what_each_of_its_columns_has(address: str, server: Server) -> None:
    random = np.random.default_rng(1)
    inputs = (random.random((60, 4)) * [1, 10, 100, 1000] - 5).astype(np.float32)
    np.savez("test.npz", x=inputs, y=np.asarray(server.scores(inputs)).argmax(1))
    assert attack(address, "--card", "card.json") == 0
    sent = [row for _, _, document in server.requests for row in np.reshape(document["inputs"][0]["data"], (-1, 4))]
    assert (np.array(sent) >= inputs.min(0) - 1e-3).all()
    assert (np.array(sent) <= inputs.max(0) + 1e-3).all()


def test_a_spent_budget_is_told_and_keeps_no_bound(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = attack(address, "--queries", "60", "--card", "card.json", "--fail-under", "robust_accuracy=0.0@linf:0.2")
    assert code == 1
    assert "inconclusive" in capsys.readouterr().out
    assert "cut-short" in {check.name for check in card().checks if check.verdict == "failed"}


def test_a_second_run_asks_nothing_that_was_answered(address: str, server: Server) -> None:
    attack(address, "--journal", "asked.journal", "--card", "card.json")
    first, asked = card(), server.asked
    attack(address, "--journal", "asked.journal", "--card", "card.json")
    assert server.asked == asked
    assert card().evasion[0].robust_accuracy == first.evasion[0].robust_accuracy


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--architecture", "a:b"], "--architecture is for files"),
        (["--header", "Authorization=NO_SUCH_VARIABLE"], "environment"),
    ],
)
def test_wrong_use_is_one_line(
    address: str, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attack(address, *arguments) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("answers", [2, 6])
def test_an_endpoint_that_dies_on_the_way_leaves_what_was_found(
    address: str, server: Server, capsys: pytest.CaptureFixture[str], answers: int
) -> None:
    server.faults = [lambda handler: False] * answers + [status(500, "no model")] * 500
    assert attack(address, "--samples", "40", "--card", "card.json") == 3
    assert "not complete: the endpoint did not answer" in capsys.readouterr().err
    found = card()
    assert not found.complete
    assert "no model" in found.notes[-1]
    assert found.clean_accuracy.of == (32 if answers == 2 else 40)
    assert len(found.evasion) == (answers > 2)


def test_an_endpoint_that_is_not_there_is_one_line(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert attack("http://127.0.0.1:9/v2/models/model") == 3
    assert capsys.readouterr().err.count("\n") == 1
