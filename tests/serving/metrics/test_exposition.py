"""Prometheus reads what was counted; its own tools find no fault with it."""

import asyncio
import shutil
import subprocess
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from garrison.core.findings import Finding, Severity
from garrison.serving.calls import Action, Answer, Call, Mark, Peer
from garrison.serving.incidents import Incident
from garrison.serving.metrics.endpoint import MetricsApp
from garrison.serving.metrics.exposition import Exposition, Reading
from garrison.serving.metrics.tally import Tally


def called(model: str = "digits", status: int = 200, refused: str = "", *, tally: Tally) -> Call:
    call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model=model)
    tally.record(call, Answer(status), refused)
    return call


def samples(exposition: Exposition) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(exposition.text()[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def test_calls_are_counted_by_how_they_ended() -> None:
    tally = Tally(["digits"])
    for _ in range(3):
        called(tally=tally)
    called(status=429, refused="limited", tally=tally)
    called(status=500, tally=tally)
    requests = samples(Exposition(tally))["garrison_requests_total"]
    assert requests["infer", "digits", "answered", "http"] == 3
    assert requests["infer", "digits", "limited", "http"] == 1
    assert requests["infer", "digits", "error", "http"] == 1


def test_names_that_callers_make_up_make_no_series() -> None:
    tally = Tally(["digits"])
    for number in range(1000):
        called(f"made-up-{number}", 404, "unknown", tally=tally)
    assert len(tally.requests) == 1
    tally.serves(["made-up-1"])
    called("made-up-1", tally=tally)
    assert ("made-up-1", "infer", "http", "answered") in tally.requests


def test_durations_are_a_histogram() -> None:
    now = 0.0
    tally = Tally(["digits"], monotonic=lambda: now)
    for seconds in (0.0005, 0.003, 0.003, 99.0):
        call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model="digits")
        call.received = 0.0
        now = seconds
        tally.record(call, Answer(200), "")
    found = samples(Exposition(tally))
    buckets = found["garrison_request_seconds_bucket"]
    assert buckets["infer", "0.0005", "digits"] == 1
    assert buckets["infer", "0.005", "digits"] == 3
    assert buckets["infer", "10", "digits"] == 3
    assert buckets["infer", "+Inf", "digits"] == found["garrison_request_seconds_count"]["infer", "digits"] == 4
    assert found["garrison_request_seconds_sum"]["infer", "digits"] == pytest.approx(99.0065)


def test_marks_failures_and_incidents_are_counted() -> None:
    tally = Tally(["digits"])
    call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model="digits")
    call.marks.append(Mark(rule="url-in-input", message=""))
    call.degraded.append("screen")
    tally.record(call, Answer(200), "")
    tally.failed("record", OSError())
    finding = Finding(rule="input-drift", severity=Severity.HIGH, subject="digits", message="")
    tally.report(Incident(finding=finding, time=0, model="digits"))
    tally.report(Incident(finding=finding, time=0, model="digits", resolved=True))
    found = samples(Exposition(tally))
    assert found["garrison_marks_total"] == {("digits", "url-in-input"): 1}
    assert found["garrison_degraded_total"] == {("screen",): 1}
    assert found["garrison_failures_total"] == {("record",): 1}
    assert found["garrison_incidents_total"] == {("digits", "input-drift", "high"): 1}


def test_parts_of_the_guard_add_what_they_know_at_the_moment() -> None:
    def readings() -> list[Reading]:
        return [
            Reading("drift_ratio", 0.5, {"model": "digits", "part": "inputs"}, "Statistic over limit."),
            Reading("drift_ratio", 0.25, {"model": "digits", "part": "outputs"}),
            Reading("skipped", 3, {"model": "digits"}, "Rows not looked at.", total=True),
        ]

    found = samples(Exposition(Tally([]), [readings]))
    assert found["garrison_drift_ratio"] == {("digits", "inputs"): 0.5, ("digits", "outputs"): 0.25}
    assert found["garrison_skipped_total"] == {("digits",): 3}


@pytest.mark.skipif(not shutil.which("promtool"), reason="Prometheus' tool is not installed")
def test_prometheus_own_tool_finds_no_fault() -> None:
    tally = Tally(["digits"])
    called(tally=tally).marks.append(Mark(rule="x", message=""))
    tally.failed("record", OSError())
    text = b"".join(
        line + b"\n"
        for line in Exposition(tally).text()[0].splitlines()
        if b"garrison_" in line  # the client's own metrics are not ours to judge
    )
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def asked(path: str, method: str = "GET", accept: str = "") -> tuple[int, bytes, dict[bytes, bytes]]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"accept", accept.encode())]
    scope = {"type": "http", "path": path, "method": method, "headers": headers}
    asyncio.run(MetricsApp(Exposition(Tally([])))(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


def test_the_endpoint_answers_at_one_path_only() -> None:
    status, body, headers = asked("/metrics")
    assert (status, int(headers[b"content-length"])) == (200, len(body))
    assert b"garrison_start_seconds" in body
    assert asked("/v2/models/digits")[0] == 404
    assert asked("/metrics", "POST")[0] == 404
    assert asked("/metrics", "HEAD")[:2] == (200, b"")
    assert b"openmetrics" in asked("/metrics", accept="application/openmetrics-text; version=1.0.0")[2][b"content-type"]
