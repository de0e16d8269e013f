"""A package index is asked quickly, in bounds, without giving anything away, and remembered."""

import json
import threading
import time
from pathlib import Path

import pytest

from garrison.core.errors import Malformed, UsageError
from garrison.dependencies.index import Index
from garrison.dependencies.index.address import address, chosen
from garrison.dependencies.index.errors import Unavailable
from garrison.dependencies.index.html_page import from_html
from garrison.dependencies.index.project import from_json
from garrison.sources.connections import masked
from tests.dependencies.index.server import PackageIndex


def test_json_and_html_say_the_same_but_for_the_times(index: PackageIndex, tmp_path: Path) -> None:
    index.add("demo-pack", "1.0", python=">=3.8")
    index.add("demo-pack", "1.1", yanked="broken <wheel>")
    index.add("demo-pack", "2.0rc1", sdist=True)
    told = Index(index.url, cache=str(tmp_path / "a")).project("Demo_Pack")
    index.html = True
    read = Index(index.url, cache=str(tmp_path / "b")).project("demo.pack")
    assert told is not None and read is not None
    assert [one.version for one in told.releases] == [one.version for one in read.releases] == ["1.0", "1.1", "2.0rc1"]
    for project in (told, read):
        assert [one.yanked for one in project.releases] == [False, True, False]
        assert project.releases[1].yanked_reason == "broken <wheel>"
        assert project.releases[0].files[0].requires_python == ">=3.8"
        assert project.releases[0].files[0].url == index.url.replace("simple/", "files/demo_pack-1.0-py3-none-any.whl")
        assert project.latest() == project.releases[0]
    assert told.releases[0].files[0].sha256 == read.releases[0].files[0].sha256 != ""
    assert told.releases[0].uploaded == "2024-01-01T00:00:00Z" and read.releases[0].uploaded == ""


def test_versions_are_read_from_the_names_of_files() -> None:
    names = {
        "zope.interface-5.0.tar.gz": "5.0",
        "zope-interface-5.1.0.zip": "5.1.0",
        "zope_interface-6.0-1-cp311-cp311-win_amd64.whl": "6.0",
        "zope.interface-3.3-py2.5-win32.egg": "3.3",
        "zope.interface-3.8.0.win32-py2.6.exe": "3.8.0",
        "zope_interface-7.0+cu113-py3-none-any.whl": "7.0+cu113",
        "another-1.0.tar.gz": None,
        "zope.interface-2004d.tar.gz": None,
        "nonsense": None,
    }
    for name, version in names.items():
        page = {"meta": {"api-version": "1.0"}, "files": [{"filename": name, "url": name, "hashes": {}}]}
        project = from_json("zope-interface", "https://index.example/simple/x/", json.dumps(page).encode())
        assert [one.version for one in project.releases] == ([version] if version else []), name
        assert project.unreadable == (0 if version else 1)


def test_pages_that_are_none_are_malformed() -> None:
    for data in (b"", b"[]", b"{", b'{"files": [{}]}', b'{"meta": {"api-version": "2.0"}}', b"[" * 100_000):
        with pytest.raises(Malformed):
            from_json("x", "https://index.example/", data)
    assert from_html("x", "https://index.example/", b'\xff<a href="http://[">x</a><a href=".."></a>').releases == ()


def test_a_name_that_the_index_does_not_know(index: PackageIndex) -> None:
    found = Index(index.url).projects(["no-such"])["no-such"]
    assert found.project is None and not found.problem and found.asked


def test_what_was_asked_is_remembered_and_asked_again_by_its_tag(index: PackageIndex) -> None:
    index.add("demo", "1.0")
    first = Index(index.url).project("demo")
    again = Index(index.url).project("demo")
    assert first == again
    assert "If-None-Match" not in index.headers[0] and "If-None-Match" in index.headers[1]
    away = Index(index.url, online=False).projects(["demo", "other"])
    assert away["demo"].project == first and away["demo"].asked > time.time() - 60
    assert away["other"].problem and away["other"].project is None
    assert len(index.asked) == 2
    index.add("demo", "2.0")
    assert len((Index(index.url).project("demo") or first or pytest.fail()).releases) == 2


def test_a_cache_that_somebody_broke_is_no_cache(index: PackageIndex, own_settings: Path) -> None:
    index.add("demo", "1.0")
    Index(index.url).project("demo")
    for path in (own_settings / "cache").rglob("*.msgpack"):
        path.write_bytes(path.read_bytes()[:-3])
    assert Index(index.url, online=False).projects(["demo"])["demo"].project is None
    assert Index(index.url).project("demo") is not None


def test_many_names_are_asked_at_once_over_few_connections(index: PackageIndex) -> None:
    names = [f"package-{number}" for number in range(60)]
    for name in names:
        index.add(name, "1.0")
    index.delay = 0.02
    found = Index(index.url).projects(names)
    assert all(found[name].project for name in names)
    assert 1 < index.most_at_once <= index.connections <= 8


def test_failures_that_pass_are_tried_again(index: PackageIndex) -> None:
    index.add("demo", "1.0")
    index.failures = [503, 500]
    assert Index(index.url).project("demo") is not None
    assert len(index.asked) == 3


def test_an_index_that_is_away_is_given_up_soon(index: PackageIndex) -> None:
    index.failures = [503] * 1000
    names = [f"package-{number}" for number in range(200)]
    found = Index(index.url, threads=4).projects(names)
    assert all("503" in one.problem for one in found.values())
    assert len(index.asked) < 40
    with pytest.raises(Unavailable):
        Index(index.url).project("demo")


@pytest.mark.parametrize("fault", ["drip", "delay"])
def test_an_index_that_never_ends_is_left(index: PackageIndex, fault: str) -> None:
    setattr(index, fault, 8.0)
    found = Index(index.url, seconds=0.4).projects(["one", "two"])
    assert {one.problem for one in found.values()} == {"it did not answer within 0.4 s"}


def test_a_page_that_is_too_long_is_left(index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add("demo", "1.0")
    index.pages["demo"]["name"] = "x" * 1_000_000
    monkeypatch.setattr("garrison.dependencies.index.client._PAGE_BYTES", 100_000)
    assert "longer" in Index(index.url).projects(["demo"])["demo"].problem


def test_credentials_go_to_the_index_and_into_no_message(index: PackageIndex, own_settings: Path) -> None:
    index.add("demo", "1.0")
    index.credentials = "me:s3cret"
    url = index.url.replace("http://", "http://me:s3cret@")
    client = Index(url)
    assert client.project("demo") is not None
    assert "s3cret" not in client.address.url
    refused = Index(index.url.replace("http://", "http://me:wr0ng@")).projects(["other"])["other"]
    assert "credentials" in refused.problem and "wr0ng" not in refused.problem
    (own_settings / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    (own_settings / ".netrc").chmod(0o600)
    assert Index(index.url, cache=str(own_settings / "other")).project("demo") is not None


def test_redirects_are_followed_so_far_as_is_safe(index: PackageIndex) -> None:
    index.redirect = "file:///etc/passwd"
    assert "no http" in Index(index.url).projects(["demo"])["demo"].problem
    index.redirect = "http://[::1"
    assert "no address" in Index(index.url).projects(["demo"])["demo"].problem
    index.redirect = index.url + "demo/"
    assert "redirects" in Index(index.url).projects(["demo"])["demo"].problem


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pass@index.example/simple",
        "https://user:pa/ss@index.example/simple",
        "https://user:p@ss@index.example/simple?token=pass#pass",
        "user:pass@index.example/simple",
    ],
)
def test_secrets_are_masked_wherever_an_address_is_shown(url: str) -> None:
    assert "pa" not in masked(url) and "index.example" in masked(url)


@pytest.mark.parametrize("url", ["http://index.example/simple/", "ftp://index.example/", "https://", "file:///x", "x"])
def test_addresses_that_are_not_safe_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        address(url)


def test_who_chooses_the_index(own_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen("").url == "https://pypi.org/simple/" and chosen("").public
    (own_settings / "config" / "pip").mkdir(parents=True)
    (own_settings / "config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = http://mirror.example/simple\ntrusted-host = mirror.example\n"
    )
    assert chosen("").url == "http://mirror.example/simple/"
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@other.example/pypi/simple")
    found = chosen("")
    assert found.url == "https://other.example/pypi/simple/" and found.origin == "PIP_INDEX_URL"
    assert (found.user, found.password) == ("me", "secret")
    assert chosen("https://team.example/simple/").url == "https://team.example/simple/"


def test_threads_end(index: PackageIndex) -> None:
    index.add("demo", "1.0")
    before = threading.active_count()
    for number in range(5):
        Index(index.url).projects(["demo", f"other-{number}"])
    time.sleep(0.1)
    assert threading.active_count() <= before + 10
