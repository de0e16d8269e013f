import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.serving.http import headers
from garrison.serving.refusals import Reason, Refused

HOST = (b"Host", b"guard")


def read(*pairs: tuple[bytes, bytes]) -> dict[str, str]:
    return headers.read([HOST, *pairs], most=64, most_bytes=16384)


def test_names_are_lower_case_and_lists_are_joined() -> None:
    assert read((b"X-Key", b" a "), (b"Accept", b"x/y"), (b"accept", b"z/w")) == {
        "host": "guard",
        "x-key": "a",
        "accept": "x/y, z/w",
    }


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([HOST], Reason.MALFORMED),
        ([(b"content-length", b"1"), (b"Content-Length", b"1")], Reason.MALFORMED),
        ([(b"authorization", b"a"), (b"authorization", b"b")], Reason.MALFORMED),
        ([(b"x-unheard-of", b"a"), (b"x-unheard-of", b"a")], Reason.MALFORMED),
        ([(b"x y", b"a")], Reason.MALFORMED),
        ([(b"", b"a")], Reason.MALFORMED),
        ([(b"x:", b"a")], Reason.MALFORMED),
        ([(b"x\xff", b"a")], Reason.MALFORMED),
        ([(b"x", b"a\r\nb: c")], Reason.MALFORMED),
        ([(b"x", b"a\x00")], Reason.MALFORMED),
        ([(b"x", b"a\x7f")], Reason.MALFORMED),
        ([(b"x", b"\xe9")], Reason.MALFORMED),
        ([(b"upgrade", b"h2c")], Reason.MALFORMED),
        ([(b"transfer-encoding", b"gzip, chunked")], Reason.MALFORMED),
        ([(b"expect", b"something")], Reason.MALFORMED),
        ([(b"content-encoding", b"gzip")], Reason.MEDIA_TYPE),
        ([(b"x%d" % number, b"") for number in range(64)], Reason.TOO_LARGE),
        ([(b"x", b"a" * 16384)], Reason.TOO_LARGE),
    ],
)
def test_headers_that_are_refused(pairs: list[tuple[bytes, bytes]], reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        read(*pairs)
    assert refused.value.reason is reason


@pytest.mark.parametrize("host", [b"", b"a b", b"a/b", b"a@b", b"a:b", b"http://a", b"a,b", b"a?b"])
def test_hosts_that_are_none(host: bytes) -> None:
    with pytest.raises(Refused):
        headers.read([(b"host", host)], most=64, most_bytes=16384)


@pytest.mark.parametrize("host", [b"a", b"a.b:80", b"127.0.0.1:1", b"[::1]:80"])
def test_hosts_that_are_some(host: bytes) -> None:
    assert headers.read([(b"host", host)], most=64, most_bytes=16384)["host"] == host.decode()


@pytest.mark.parametrize("declared", ["", "-1", "+1", "1,1", "0x1", "1 1", "1" * 19, "\u0661"])
def test_lengths_that_are_none(declared: str) -> None:
    with pytest.raises(Refused):
        headers.length({"content-length": declared})


def test_a_length_and_chunks_contradict_each_other() -> None:
    assert headers.length({"content-length": "7"}) == 7
    assert headers.length({"transfer-encoding": "chunked"}) is None
    with pytest.raises(Refused):
        headers.length({"content-length": "7", "transfer-encoding": "chunked"})


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@given(
    st.dictionaries(
        st.sampled_from(
            ["authorization", "x-api-key", "cookie", "connection", "keep-alive", "proxy-authorization", "te", "trailer",
             "transfer-encoding", "upgrade", "x-forwarded-for", "x-model-url", "content-length", "host", "accept",
             "content-type"]
        ),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    )
)  # fmt: skip
def test_nothing_but_what_is_listed_goes_to_the_server(came: dict[str, str]) -> None:
    lines = headers.to_server(came, "id").split("\r\n")
    names = [line.partition(":")[0] for line in lines if line]
    assert set(names) <= {"x-request-id", "accept", "content-type", "inference-header-content-length", "tracestate"}


def test_only_a_valid_trace_goes_on() -> None:
    assert f"traceparent: {TRACE}\r\n" in headers.to_server({"traceparent": TRACE}, "id")
    for invalid in ("", "00-" + "0" * 32 + "-b7ad6b7169203331-01", TRACE.upper(), TRACE + "-x", "ff" + TRACE[2:]):
        assert "traceparent" not in headers.to_server({"traceparent": invalid}, "id")
    own = TRACE.replace("b7ad", "0000")
    assert f"traceparent: {own}\r\n" in headers.to_server({"traceparent": TRACE}, "id", own)
    assert TRACE not in headers.to_server({"traceparent": TRACE}, "id", own)


def test_only_what_is_listed_comes_back() -> None:
    came = [(b"server", b"x"), (b"set-cookie", b"a=b"), (b"content-type", b"a/b"), (b"location", b"/"), (b"via", b"x")]
    assert headers.to_caller(came) == [(b"content-type", b"a/b")]
    for bad in ([(b"content-type", b"a"), (b"content-type", b"b")], [(b"content-type", b"a\x01")]):
        with pytest.raises(Refused):
            headers.to_caller(bad)
