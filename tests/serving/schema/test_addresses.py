"""What a server might fetch is told from what people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.serving.schema.addresses import address_in, allowed


@pytest.mark.parametrize(
    "text",
    [
        "http://169.254.169.254/latest/meta-data",
        "HTTPS://x",
        "  http://x",
        "\thttp://x",
        "ht\ttp://x",
        "http:/\n/x",
        "\x00http://x",
        "//evil.example/x",
        "\\\\evil\\share",
        "/\\evil.example",
        "http:\\\\x",
        "http:/x",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "gopher://x:70/_",
        "dict://x:11211",
        "ldap://x",
        "data:text/plain;base64,AAAA",
        "javascript:alert(1)",
        "jar:http://x!/",
        "URL:http://x",
        "ｈttp://x",
        "http：//x",
        "http:／／x",
        "\u200bhttp://x",
        "\ufeffhttp://x",
        "s3://bucket/key",
        "ftp://x",
        "http://user:word@x",
        "http://[::1]/",
        "http://0x7f000001/",
        "http://x/a picture.png",
        "h\u00adttp://x",
        "phar://x.phar",
        "http:evil.example",
        "https:169.254.169.254",
    ],
)
def test_addresses(text: str) -> None:
    assert address_in(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a good film",
        "see http://x for more",
        "note: see below",
        "ratio 3:1",
        "12:30",
        "a/b",
        "// to do",
        "and/or",
        "C: drive",
        "either\\or",
        "about: nothing",
        "data: none",
        "://",
        "//",
        "///",
        "http:",
        "film über alles",
        "Re: your mail",
        "e.g.:",
    ],
)
def test_texts(text: str) -> None:
    assert address_in(text.encode()) == ""


@pytest.mark.parametrize(
    "address, expected",
    [
        ("https://images.example/a.png", True),
        ("https://images.example", True),
        ("http://images.example/", False),
        ("https://images.example:8443/", False),
        ("https://user@images.example/", False),
        ("https://images.example.evil/", False),
        ("https://evil/images.example", False),
        ("https://images.example@evil/", False),
        ("https://[::1/", False),
        ("https://images.example%00.evil/", False),
        ("HTTPS://images.example/", False),
        ("https://IMAGES.example/", False),
    ],
)
def test_hosts_that_are_named_are_allowed_and_nothing_that_looks_like_them(address: str, expected: bool) -> None:
    assert allowed(address, ("images.example",)) is expected


@given(
    st.text(max_size=40),
    st.sampled_from(["http", "https", "ftp", "s3", "gopher"]),
    st.text(alphabet="\x00\t\n\r \u200b", max_size=5),
)
def test_what_clients_strip_hides_no_address(rest: str, scheme: str, unseen: str) -> None:
    assert address_in(f"{unseen}{scheme}://{rest}".encode("utf-8", "replace"))


@given(st.binary(max_size=100))
def test_any_bytes_have_an_answer(text: bytes) -> None:
    assert isinstance(address_in(text), str)
