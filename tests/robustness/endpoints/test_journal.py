"""Journals: what was answered is not asked again, whenever the run ended."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from garrison.core.errors import UsageError
from garrison.robustness.attacks.attack import Outcome
from garrison.robustness.attacks.square import Square
from garrison.robustness.classifier import Classifier, QueriesSpent
from garrison.robustness.endpoints.endpoint import endpoint
from garrison.robustness.endpoints.journal import Journal, digest
from garrison.robustness.endpoints.template import ALL, Template
from garrison.robustness.endpoints.transport import EndpointError, Patience
from tests.robustness.endpoints import server as faults
from tests.robustness.endpoints.server import Server

OF = {"endpoint": "http://a/v2/models/m/infer", "model": "m 1", "request": "v2 x"}
SAMPLE = np.random.default_rng(0).random((3, 4), np.float32)


def test_answers_come_back_in_their_order_and_once(tmp_path: Path) -> None:
    path = str(tmp_path / "j")
    keys = [digest(row) for row in SAMPLE]
    journal = Journal(path, OF)
    assert journal.take(keys[0]) is None
    journal.asking(3)
    journal.answered([keys[0], keys[1], keys[0]], [(0.1, 0.9), (1e-300, 1.0), (0.2, 0.8)])
    journal.close()
    again = Journal(path, OF)
    assert again.asked == 3
    assert [again.take(keys[0]) for _ in range(3)] == [(0.1, 0.9), (0.2, 0.8), None]
    assert again.take(keys[1]) == (1e-300, 1.0)
    again.close()
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


def test_a_journal_that_is_torn_anywhere_keeps_what_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    path = tmp_path / "j"
    journal = Journal(str(path), OF)
    for row in SAMPLE:
        journal.asking(1)
        journal.answered([digest(row)], [tuple(row.tolist())])
    journal.close()
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        torn = Journal(str(path), OF)
        lines = whole[:cut].count(b"\n")
        assert torn.asked == lines // 2
        found = [torn.take(digest(row)) for row in SAMPLE]
        assert [answer is not None for answer in found] == [lines > 2 * place + 2 for place in range(3)]
        torn.asking(1)
        torn.close()
        after = Journal(str(path), OF)
        assert after.asked == lines // 2 + 1
        after.close()


@pytest.mark.parametrize("name", OF)
def test_the_journal_of_something_else_is_refused_and_left_as_it_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(str(path), OF).close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match=f"journal of another {name}"):
        Journal(str(path), {**OF, name: "other"})
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"precious", b"precious\n", b"{}\n", b"[" * 9999 + b"\n", b'{"garrison-journal": 2}\n']
)
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        Journal(str(path), OF)
    assert path.read_bytes() == content


def test_damage_in_the_middle_is_said(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(str(path), OF)
    journal.asking(1)
    journal.asking(1)
    journal.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\x00\n" + lines[2])
    with pytest.raises(UsageError, match="line 2 is none of a journal"):
        Journal(str(path), OF)


def test_a_journal_is_of_one_run_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "j")
    first = Journal(path, OF)
    with pytest.raises(UsageError, match="another run"):
        Journal(path, OF)
    first.close()
    Journal(path, OF).close()


def test_places_that_hold_no_journal_are_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none" / "j"):
        with pytest.raises(UsageError):
            Journal(str(path), OF)


def opened(server: Server, path: Path, **options: Any) -> Classifier:
    return endpoint(server.model, SAMPLE, classes=3, journal=str(path), **options)


def test_a_budget_counts_what_all_runs_asked(server: Server, tmp_path: Path) -> None:
    inputs = torch.rand((6, 4), generator=torch.Generator().manual_seed(0))
    first = opened(server, tmp_path / "j", budget=10)
    before = first.scores(inputs)
    first.forward.close()  # type: ignore[attr-defined]
    second = opened(server, tmp_path / "j", budget=10)
    assert (second.scores(inputs) == before).all()
    assert server.asked == 9
    with pytest.raises(QueriesSpent, match="9 were asked"):
        second.scores(inputs)


def test_a_model_that_draws_its_answers_is_replayed_as_it_was(server: Server, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    server.scores = lambda inputs: faults.logits(inputs) + random.normal(size=(len(inputs), 3))
    inputs = torch.from_numpy(SAMPLE)
    first = opened(server, tmp_path / "j")
    draws = [first.scores(inputs) for _ in range(3)]
    first.forward.close()  # type: ignore[attr-defined]
    assert (draws[0] != draws[1]).any()
    second = opened(server, tmp_path / "j")
    assert all((second.scores(inputs) == draw).all() for draw in draws)


def test_secrets_do_not_reach_the_journal(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARRISON_TEST_KEY", "s3cret")
    template = Template(
        url=f"{server.address}/v1?token=s3cret", body={"instances": ALL}, answer="predictions",
        headers={"X": "${GARRISON_TEST_KEY}"},
    )  # fmt: skip
    endpoint(template, SAMPLE, classes=3, journal=str(tmp_path / "j"))
    assert b"s3cret" not in (tmp_path / "j").read_bytes()


def attacked(address: str, journal: str) -> Outcome:
    """A run with its seed, which several processes repeat."""
    classifier = endpoint(address, SAMPLE, classes=3, journal=journal, budget=5000)
    inputs = torch.rand((12, 4), generator=torch.Generator().manual_seed(1))
    labels = classifier.labels(inputs)
    return Square(queries=60)(classifier, inputs, labels, [0.05, 0.15], seed=0)


RUN = "import sys; from tests.robustness.endpoints.test_journal import attacked; attacked(*sys.argv[1:])"


def test_a_run_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(server: Server, tmp_path: Path) -> None:
    uninterrupted = attacked(server.model, str(tmp_path / "whole"))
    whole, server.asked = server.asked, 0
    died = threading.Event()

    def killing(_: faults.Handler) -> bool:
        process.send_signal(signal.SIGKILL)
        died.set()
        return True

    server.faults = [lambda _: False] * (len(server.requests) // 2) + [killing]
    root = Path(__file__).parents[3]
    process = subprocess.Popen([sys.executable, "-c", RUN, server.model, str(tmp_path / "killed")], cwd=root)
    assert process.wait() == -signal.SIGKILL
    assert died.is_set()
    assert 0 < server.asked < whole
    again = attacked(server.model, str(tmp_path / "killed"))
    assert server.asked == whole
    for name in ("adversarial", "success", "queries", "found_after"):
        assert (getattr(again, name) == getattr(uninterrupted, name)).all()


def test_an_endpoint_that_goes_away_midway_loses_nothing(server: Server, tmp_path: Path) -> None:
    short = Patience(seconds=0.3, retry_seconds=0.4)
    inputs = torch.rand((10, 4), generator=torch.Generator().manual_seed(1))
    labels = torch.from_numpy(faults.decisions(inputs.numpy()))

    def run() -> Any:
        classifier = opened(server, tmp_path / "j", patience=short)
        return Square(queries=40)(classifier, inputs, labels, [0.1], seed=0)

    server.faults = [lambda _: False] * 20 + [faults.reset] * 30
    with pytest.raises(EndpointError, match="does not answer"):
        run()
    server.faults = []
    before = server.asked
    outcome = run()
    assert server.asked == outcome.queries.sum() + len(SAMPLE)
    assert server.asked > before
