"""Who is asked, through which proxy, and where a redirect may lead."""

from urllib.parse import urlsplit

import pytest

from garrison.sources.connections import allowed, connect, target


@pytest.mark.parametrize(
    ("proxy", "place"),
    [
        ("http://proxy.example", ("proxy.example", 80)),
        ("proxy.example:3128", ("proxy.example", 3128)),
        ("http://user:word@[2001:db8::1]:8080/", ("2001:db8::1", 8080)),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch, scheme: str, proxy: str, place: tuple[str, int]
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", proxy)
    parts = urlsplit(f"{scheme}://index.example/simple/?a=1#part")
    connection, direct = connect(parts, 1)
    assert (connection.host, connection.port) == place
    asked = "/simple/?a=1" if scheme == "https" else "http://index.example/simple/?a=1"
    assert direct == (scheme == "https") and target(parts, direct) == asked


def test_this_machine_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    connection, direct = connect(urlsplit("http://127.0.0.1:8000/x"), 1)
    assert (connection.host, connection.port, direct) == ("127.0.0.1", 8000, True)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://[::1", "no address"),
        ("https://index.example:port/", "no address"),
        ("file:///etc/passwd", "no http or https"),
        ("https:///x", "no http or https"),
        ("https://localhost/x", "on this machine"),
        ("http://[::1]/x", "on this machine"),
    ],
)
def test_where_nothing_may_lead(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        allowed(url, "index.example", "index")


def test_this_machine_may_lead_to_itself() -> None:
    assert allowed("http://127.0.0.1:1/x", "localhost", "index").port == 1
