"""Downloads go on where they broke off, fetch nothing twice, and never hang or lead elsewhere."""

import hashlib
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.dependencies.advisories import fetching
from garrison.dependencies.advisories.database import Database
from garrison.dependencies.advisories.fetching import Validators, address, fetch
from garrison.dependencies.advisories.origins import named_origins
from garrison.dependencies.advisories.reading import SourceError
from garrison.dependencies.advisories.updating import Outcome, update
from tests.dependencies.advisories.samples import document, export
from tests.dependencies.advisories.servers import Server, serving

BODY = bytes(range(256)) * 2000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetching, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # of no concern to this machine
    with serving() as served:
        served.body = BODY
        yield served


def got(server: Server, target: Path, known: Validators | None = None, sha256: str = "") -> Validators | None:
    return fetch(address(f"{server.url}/x"), str(target), known or Validators(), sha256=sha256)


def test_a_file_and_what_tells_its_state(server: Server, tmp_path: Path) -> None:
    server.modified = "Wed, 01 May 2024 00:00:00 GMT"
    found = got(server, tmp_path / "x")
    assert found == Validators('"1"', server.modified, hashlib.sha256(BODY).hexdigest())
    assert (tmp_path / "x").read_bytes() == BODY and os.listdir(tmp_path) == ["x"]


def test_what_has_not_changed_is_not_sent_again(server: Server, tmp_path: Path) -> None:
    known = got(server, tmp_path / "x")
    assert got(server, tmp_path / "x", known) is None
    server.etag = '"2"'
    assert got(server, tmp_path / "x", known) is not None
    server.etag, server.modified = "", "Wed, 01 May 2024 00:00:00 GMT"
    known = got(server, tmp_path / "x")
    assert got(server, tmp_path / "x", known) is None


def test_a_wanted_digest_goes_before_what_is_known(server: Server, tmp_path: Path) -> None:
    known = got(server, tmp_path / "x")
    with pytest.raises(SourceError, match="SHA-256"):
        got(server, tmp_path / "x", known, "0" * 64)
    assert got(server, tmp_path / "x", known, hashlib.sha256(BODY).hexdigest()) is None


def test_a_connection_that_breaks_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.cut = [100_000, 200_000, 5]
    assert got(server, tmp_path / "x") is not None
    assert (tmp_path / "x").read_bytes() == BODY
    assert [request.get("range") for request in server.requests] == [
        None,
        "bytes=100000-",
        "bytes=300000-",
        "bytes=300005-",
    ]


def test_a_download_goes_on_in_the_next_run(server: Server, tmp_path: Path) -> None:
    server.cut = [1000] * fetching._ATTEMPTS
    with pytest.raises(SourceError, match=r"broke after 4,000 of 512,000 bytes; the next update goes on"):
        got(server, tmp_path / "x")
    assert got(server, tmp_path / "x") is not None
    assert server.requests[-1]["range"] == "bytes=4000-" and server.requests[-1]["if-range"] == '"1"'
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_part_of_another_state_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.cut = [1000] * fetching._ATTEMPTS
    with pytest.raises(SourceError):
        got(server, tmp_path / "x")
    server.body, server.etag = b"other" * 50, '"2"'
    assert got(server, tmp_path / "x") is not None
    assert (tmp_path / "x").read_bytes() == server.body


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_a_part_of_which_nobody_knows_the_state_is_not_continued(server: Server, tmp_path: Path, etag: str) -> None:
    server.cut, server.etag = [1000], etag
    assert got(server, tmp_path / "x") is not None
    assert all("range" not in request for request in server.requests)
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_part_that_is_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    server.cut = [300_000] * fetching._ATTEMPTS
    server.ranges = False
    with pytest.raises(SourceError):
        got(server, tmp_path / "x")
    server.ranges, server.body = True, b"short"
    assert got(server, tmp_path / "x") is not None
    assert (tmp_path / "x").read_bytes() == b"short"


def test_a_server_that_sends_another_part(server: Server, tmp_path: Path) -> None:
    server.cut = [1000] * fetching._ATTEMPTS
    with pytest.raises(SourceError):
        got(server, tmp_path / "x")

    def other(handler: object) -> bool:
        if "range" not in server.requests[-1]:
            return False
        send = handler.wfile.write  # type: ignore[attr-defined]
        send(b"HTTP/1.0 206 Partial\r\nContent-Range: bytes 0-9/512000\r\nContent-Length: 10\r\n\r\n0123456789")
        return True

    server.misbehave = other
    assert got(server, tmp_path / "x") is not None
    assert (tmp_path / "x").read_bytes() == BODY


@pytest.mark.parametrize("code", [404, 403, 500, 503])
def test_errors_of_the_server_are_said(server: Server, tmp_path: Path, code: int) -> None:
    server.misbehave = lambda handler: handler.send_error(code) is None
    with pytest.raises(SourceError, match=f"answers {code}"):
        got(server, tmp_path / "x")
    assert len(server.requests) == (fetching._ATTEMPTS if code >= 500 else 1)


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PAUSE_SECONDS", 0.01)
    with pytest.raises(SourceError, match="refused"):
        fetch(address("http://127.0.0.1:1/x"), str(tmp_path / "x"), Validators())


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:,x",
        "http://192.0.2.1/x",
        "http://example.org/x",
        "//192.0.2.1/x",
        "gopher://127.0.0.1/x",
    ],
)
def test_redirects_lead_to_https_only(server: Server, tmp_path: Path, target: str) -> None:
    server.redirecting(target)
    with pytest.raises(SourceError, match=r"redirects to|answers 302|cannot be reached"):
        got(server, tmp_path / "x")
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_without_the_credentials(server: Server, tmp_path: Path, code: int) -> None:
    server.redirecting("/end", code)
    place = address(server.url.replace("//", "//user:secret@") + "/x")
    assert fetch(place, str(tmp_path / "x"), Validators()) is not None
    assert [request.get("authorization") for request in server.requests] == ["Basic dXNlcjpzZWNyZXQ=", None]


def test_redirects_in_a_circle_end(server: Server, tmp_path: Path) -> None:
    server.redirecting("/again")
    with pytest.raises(SourceError, match="redirect"):
        got(server, tmp_path / "x")
    assert len(server.requests) < 10


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 1000000\r\n\r\n",
    ],
    ids=["status", "header", "body", "chunk", "redirect"],
)
def test_a_server_that_drips_is_left(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(fetching, "_WATCH_SECONDS", 0.2)
    monkeypatch.setattr(fetching, "_ATTEMPTS", 2)
    server.dripping(start)
    with pytest.raises(SourceError, match=r"too slow|infinite loop\.$"):
        got(server, tmp_path / "x")


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "more than"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n", "more than"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "99,999,999,999 bytes"),
        (b"HTTP/1.1 200 OK\r\nX: ", "broke"),
        (b"HTTP/1.1 404 No\r\n\r\n", "answers 404"),
        (b"garbage\r\n\r\n", "broke"),
    ],
)
def test_a_body_without_an_end_is_cut(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes, said: str
) -> None:
    monkeypatch.setattr(fetching, "SIZE_LIMIT", 1 << 20)
    server.flooding(start)
    with pytest.raises(SourceError, match=said):
        got(server, tmp_path / "x")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3 << 20


def test_a_redirect_with_an_endless_body_costs_nothing(server: Server, tmp_path: Path) -> None:
    server.flooding(b"HTTP/1.1 302 Found\r\nLocation: file:///x\r\n\r\n")
    with pytest.raises(SourceError, match="Redirection"):
        got(server, tmp_path / "x")
    assert server.flooded < 64 << 20


@pytest.mark.parametrize(
    "url", ["https://localhost/x", "https://127.0.0.1/x", "http://[::1]/x", "http://example.org/x"]
)
def test_nobody_elsewhere_leads_to_this_machine_or_to_plain_http(url: str) -> None:
    request = urllib.request.Request("https://mirror.example/all.zip")
    with pytest.raises(SourceError, match="not fetched"):
        fetching._Redirects().redirect_request(request, None, 302, "Found", {}, url)


@pytest.mark.parametrize("text", ["http://example.org/x", "http://10.0.0.1/x", "http://[::2]/x", "HTTP://a/x"])
def test_plain_http_is_for_this_machine(text: str) -> None:
    with pytest.raises(UsageError, match="only https"):
        address(text)
    assert address("http://[::1]:80/x").url == "http://[::1]:80/x"


class Mirror:
    """A server with an export of OSV, and the database that is made from it."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.path = str(directory / "data" / "advisories.sqlite")
        self.said: list[str] = []

    def shows(self, *ids: str, etag: str, modified: str = "2024-05-01T00:00:00Z") -> None:
        documents = [document(id, modified=modified) for id in ids]
        self.server.body = Path(export(self.directory / "all.zip", *documents)).read_bytes()
        self.server.etag = etag

    def update(self, sha256: str = "", fresh: bool = False) -> Outcome:
        self.said.clear()
        origins = named_origins([f"{self.server.url}/PyPI/all.zip"], sha256)
        return update(origins, self.path, fresh=fresh, say=self.said.append)

    def ids(self) -> list[str]:
        with Database.open(self.path) as database:
            return sorted(one.id for one in database.affected("PyPI", ["example"]).get("example", ()))


@pytest.fixture
def mirror(server: Server, tmp_path: Path) -> Mirror:
    return Mirror(server, tmp_path)


def test_a_database_from_an_address(mirror: Mirror) -> None:
    mirror.shows("A-1", "A-2", etag='"1"')
    assert not mirror.update().failures
    assert mirror.ids() == ["A-1", "A-2"]
    assert sorted(os.listdir(mirror.directory / "data")) == ["advisories.sqlite", "advisories.sqlite.lock"]
    assert not mirror.update().failures
    assert mirror.said[-1].endswith("unchanged")
    mirror.shows("A-1", "A-2", "A-3", etag='"2"')
    assert not mirror.update().failures
    assert mirror.ids() == ["A-1", "A-2", "A-3"]
    with Database.open(mirror.path) as database:
        assert [source.name for source in database.sources] == [f"{mirror.server.url}/PyPI/all.zip"]


def test_a_failed_download_keeps_its_part_and_the_database(mirror: Mirror) -> None:
    mirror.shows("A-1", etag='"1"')
    assert not mirror.update().failures
    mirror.shows("A-1", "A-2", etag='"2"')
    mirror.server.cut = [50] * fetching._ATTEMPTS
    outcome = mirror.update()
    assert "goes on from there" in outcome.failures[0] and not outcome.written
    assert mirror.ids() == ["A-1"]
    assert not mirror.update().failures
    assert mirror.server.requests[-1]["range"] == "bytes=200-"
    assert mirror.ids() == ["A-1", "A-2"]


def test_a_wrong_digest_changes_nothing(mirror: Mirror) -> None:
    mirror.shows("A-1", etag='"1"')
    outcome = mirror.update(sha256="0" * 64)
    assert "SHA-256" in outcome.failures[0] and not os.path.exists(mirror.path)
    assert not mirror.update(sha256=hashlib.sha256(mirror.server.body).hexdigest()).failures


def test_an_old_copy_is_refused(mirror: Mirror) -> None:
    mirror.shows("A-1", "A-2", etag='"1"', modified="2024-06-01T00:00:00Z")
    assert not mirror.update().failures
    mirror.shows("A-1", etag='"0"', modified="2024-03-01T00:00:00Z")
    outcome = mirror.update()
    assert "its newest advisory is of 2024-03-01, before it was of 2024-06-01" in outcome.failures[0]
    assert mirror.ids() == ["A-1", "A-2"]
    assert not mirror.update(fresh=True).failures
    assert mirror.ids() == ["A-1"]


def test_what_is_no_export_is_refused_and_fetched_anew(mirror: Mirror) -> None:
    mirror.server.body = b"<html>Please log in</html>"
    assert "no export of OSV" in mirror.update().failures[0]
    mirror.shows("A-1", etag=mirror.server.etag)
    assert not mirror.update().failures
    assert mirror.ids() == ["A-1"]
