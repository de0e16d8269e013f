"""Real servers on loopback are told: a webhook, Slack's, Alertmanager's API, SMTP."""

import asyncio
import hashlib
import hmac
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from garrison.core.errors import UsageError
from garrison.core.findings import Finding, Severity
from garrison.serving.alerts.channels.email import composed
from garrison.serving.alerts.groups import Notification, Ongoing
from garrison.serving.alerts.notifier import Notifier, check
from garrison.serving.alerts.settings import Alertmanager, Alerts, Channel, Email, Slack, Webhook
from garrison.serving.incidents import Incident


class Heard(http.server.ThreadingHTTPServer):
    """Keeps what it is sent; answers with the statuses that it is given, then with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Listener)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class Listener(http.server.BaseHTTPRequestHandler):
    server: Heard

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Heard]:
    with Heard() as heard:
        thread = threading.Thread(target=heard.serve_forever)
        thread.start()
        yield heard
        heard.shutdown()
        thread.join()


def incident(message: str = "the inputs drift", **fields: Any) -> Incident:
    finding = Finding(
        rule="input-drift",
        severity=fields.pop("severity", Severity.HIGH),
        subject="digits",
        message=message,
        fix="Look.",
    )
    return Incident(finding=finding, time=1e9, model=fields.pop("model", "digits"), **fields)


def told(channel: Channel, *incidents: Incident, failures: list[str] | None = None) -> None:
    async def run() -> None:
        settings = Alerts(channels={"ops": channel}, group_wait=0.001)
        failed = [] if failures is None else failures
        notifier = Notifier(
            settings, "edge-1", failed=lambda name, error: failed.append(f"{name}: {error}"), pause=0.01
        )
        notifier.start()
        for one in incidents:
            notifier.report(one)
        await notifier.stop(grace=20)

    asyncio.run(run())


def secret(folder: Path, text: str, name: str = "secret") -> str:
    (folder / name).write_text(text + "\n")
    return str(folder / name)


def test_a_webhook_is_told_in_json_with_a_signature(server: Heard, tmp_path: Path) -> None:
    key = secret(tmp_path, "k3y")
    told(Webhook(address=f"{server.address}/hook?team=a", secret_file=key), incident(principal="alice"))
    ((path, headers, body),) = server.requests
    assert path == "/hook?team=a"
    document = json.loads(body)
    assert (document["status"], document["guard"]) == ("firing", "edge-1")
    assert document["incidents"][0]["principal"] == "alice"
    seconds, signature = (part.partition("=")[2] for part in headers["x-garrison-signature"].split(","))
    assert hmac.new(b"k3y", seconds.encode() + b"." + body, hashlib.sha256).hexdigest() == signature


def test_slack_gets_text_in_which_no_name_calls_everybody_in(server: Heard, tmp_path: Path) -> None:
    told(
        Slack(address_file=secret(tmp_path, f"{server.address}/T0/B0")), incident("drift by <!channel> & <https://x|y>")
    )
    ((path, _, body),) = server.requests
    message = json.loads(body)
    assert path == "/T0/B0"
    assert "drift by &lt;!channel&gt; &amp; &lt;https://x|y&gt;" in message["blocks"][1]["text"]["text"]
    assert message["text"].startswith("[HIGH] input-drift (model digits)")


def test_alertmanager_gets_alerts_of_its_own_shape(server: Heard) -> None:
    told(Alertmanager(address=server.address), incident())
    ((path, _, body),) = server.requests
    (alert,) = json.loads(body)
    assert path == "/api/v2/alerts"
    assert alert["labels"] == {"alertname": "input-drift", "severity": "high", "guard": "edge-1", "model": "digits"}
    assert alert["startsAt"] == "2001-09-09T01:46:40Z"
    assert alert["endsAt"] > alert["startsAt"]


class Mailbox(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Postman)
        self.messages: list[str] = []


class Postman(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs."""

    server: Mailbox

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            command = line.strip().upper()
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (part := self.rfile.readline()) != b".\r\n":
                    lines.append(part.decode())
                self.server.messages.append("".join(lines))
            self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 fine\r\n")
            if command == b"QUIT":
                return


def test_a_message_goes_out_by_smtp() -> None:
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = int(server.server_address[1])
        told(Email(host="127.0.0.1", port=port, sender="g@x", to=("ops@x",), encryption="none"), incident())
        server.shutdown()
        thread.join()
    (message,) = server.messages
    assert "Subject: [HIGH] input-drift (model digits), guard edge-1" in message
    assert "the inputs drift" in message


def test_names_of_callers_begin_no_header_of_their_own() -> None:
    finding = Finding(rule="x\r\nBcc: all@x", severity=Severity.HIGH, subject="", message="m")
    one = Ongoing(finding=finding, model="", principal="", call="", began=0, last=0)
    channel = Email(host="h", sender="g@x", to=("ops@x",))
    message = composed(channel, Notification(labels={}, incidents=(one,), others=0), "guard")
    assert message["Bcc"] is None
    assert "Bcc" in message["Subject"]


def test_channels_have_what_they_want_only(server: Heard) -> None:
    channel = Webhook(address=server.address, severity=Severity.CRITICAL)
    told(channel, incident())
    told(Webhook(address=server.address, models=("other",)), incident())
    told(Webhook(address=server.address, rules=("query-*",)), incident())
    assert server.requests == []
    told(channel, incident(severity=Severity.CRITICAL))
    assert len(server.requests) == 1


def test_a_server_that_is_busy_is_asked_again(server: Heard) -> None:
    server.statuses = [503, 429]
    failures: list[str] = []
    told(Webhook(address=server.address), incident(), failures=failures)
    assert (len(server.requests), failures) == (3, [])


def test_what_does_not_arrive_is_said_and_redirects_are_not_followed(server: Heard) -> None:
    server.statuses = [302]
    failures: list[str] = []
    told(Webhook(address=server.address + "/key-in-path?token=s3cret"), incident(), failures=failures)
    assert failures == [f"ops: {server.address} answers 302"]
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_said() -> None:
    failures: list[str] = []
    told(Webhook(address="http://127.0.0.1:9/x"), incident(), failures=failures)
    assert failures == ["ops: http://127.0.0.1:9 does not answer: connection refused"]


@pytest.mark.parametrize(
    "channel, said",
    [
        (Webhook(), "give either address or address-file"),
        (Webhook(address="http://hooks.example/x"), "by https only"),
        (Webhook(address="ftp://x"), "no http or https address"),
        (Webhook(address="https://x/y z"), "no address that alerts can be sent to"),
        (Slack(address_file="/none"), "No such file"),
        (Alertmanager(address="https://user:pa55@x"), "no address that alerts can be sent to"),
        (Email(host="h", sender="s", to=("t",), user="u"), "go together"),
    ],
)
def test_channels_that_can_never_deliver_are_named(channel: Channel, said: str) -> None:
    with pytest.raises(UsageError, match=rf"alerts\.channels\.ops: .*{said}") as error:
        check(Alerts(channels={"ops": channel}))
    assert "pa55" not in str(error.value)
