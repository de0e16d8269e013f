import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.serving.calls import Action
from garrison.serving.http.routes import ROUTES, Route, Router
from garrison.serving.refusals import Reason, Refused

match = Router().match
names = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,40}", fullmatch=True)


@pytest.mark.parametrize(
    ("line", "operation", "action", "model", "version"),
    [
        ("GET /v2", "server-metadata", Action.HEALTH, "", ""),
        ("GET /v2/models/m", "model-metadata", Action.METADATA, "m", ""),
        ("POST /v2/models/m/infer", "infer", Action.INFER, "m", ""),
        ("POST /v2/models/m.n/versions/1/infer", "infer", Action.INFER, "m.n", "1"),
        ("POST /v1/models/m:predict", "predict", Action.INFER, "m", ""),
        ("POST /v1/models/m:explain", "explain", Action.EXPLAIN, "m", ""),
        ("GET /v2/models/stats", "statistics", Action.ADMINISTER, "", ""),
        ("POST /v2/repository/models/m/unload", "unload", Action.MANAGE, "m", ""),
        ("POST /v2/systemsharedmemory/region/r/register", "register-shared-memory", Action.ADMINISTER, "", ""),
    ],
)
def test_known_paths_have_one_meaning(line: str, operation: str, action: Action, model: str, version: str) -> None:
    method, path = line.split()
    found = match(method, path.encode())
    assert (found.route.operation, found.route.action, found.model, found.version) == (
        operation,
        action,
        model,
        version,
    )
    assert found.target == path


@pytest.mark.parametrize(
    "target",
    [
        "/v2/models/../repository/index", "/v2/models/%2e%2e/infer", "/v2/models/a%2fb/infer",
        "/v2/models/a%252fb/infer",
        "/v2//models/m/infer", "//v2/models/m/infer", "/v2/models/m/infer/", "/v2/models/m;x/infer",
        "/v2/models/m#/infer",
        "/v2/models/m%00/infer", "/v2/models/m%0d%0a/infer", "/v2/models/%c3%a9/infer", "/v2/models/m\\n/infer",
        "/v2/models/./infer", "/v2/models/.m/infer", "/v2/models/m infer", "http://other/v2/models/m/infer", "*", "",
        "v2/models/m/infer", "/v2/models/" + "a" * 3000 + "/infer", "/v2/models/%/infer", "/v2/models/%zz/infer",
    ],
)  # fmt: skip
def test_paths_that_could_be_read_in_two_ways_are_refused(target: str) -> None:
    with pytest.raises(Refused) as refused:
        match("POST", target.encode())
    assert refused.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("target", ["/", "/v2/docs", "/v3/models/m/infer", "/metrics", "/v2/models/m/other"])
def test_what_is_in_no_route_is_unknown(target: str) -> None:
    with pytest.raises(Refused) as refused:
        match("GET", target.encode())
    assert refused.value.reason in (Reason.UNKNOWN, Reason.MALFORMED)


def test_a_name_has_a_longest_length() -> None:
    assert match("POST", b"/v2/models/" + b"a" * 255 + b"/infer").model == "a" * 255
    with pytest.raises(Refused) as refused:
        match("POST", b"/v2/models/" + b"a" * 256 + b"/infer")
    assert refused.value.reason is Reason.UNKNOWN


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "TRACE", "OPTIONS", "PATCH", "infer"])
def test_other_methods_are_refused(method: str) -> None:
    with pytest.raises(Refused) as refused:
        match(method, b"/v2/models/m/infer")
    assert refused.value.reason is Reason.METHOD


def test_queries_are_dropped_and_escapes_written_out() -> None:
    found = match("POST", b"/v2/models/%6d/infer?url=http://other&x=/../")
    assert (found.model, found.target) == ("m", "/v2/models/m/infer")


@given(model=names, version=names)
def test_what_is_forwarded_is_read_as_the_same_again(model: str, version: str) -> None:
    path = f"/v2/models/{model}/versions/{version}/infer"
    found = match("POST", path.encode())
    assert (found.model, found.version, found.target) == (model, version, path)
    escaped = "".join(f"%{ord(letter):02x}" for letter in model)
    assert match("POST", f"/v2/models/{escaped}/versions/{version}/infer".encode()) == found


@given(target=st.one_of(st.binary(max_size=80), st.from_regex(rb"/v[12]/[a-z/.%:0-9-]{0,40}", fullmatch=True)))
def test_any_target_is_refused_or_written_strictly(target: bytes) -> None:
    for method in ("GET", "POST"):
        try:
            found = match(method, target)
        except Refused:
            continue
        assert found.target.startswith("/v")
        assert not {"", ".", ".."} & set(found.target[1:].split("/"))
        assert set(found.target) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:")
        assert match(method, found.target.encode()) == found


def test_each_route_is_reached_by_its_own_pattern() -> None:
    for route in ROUTES:
        path = route.pattern.replace("{model}", "m").replace("{version}", "1").replace("{region}", "r")
        assert match(route.method, path.encode()).route == route


def test_routes_that_no_path_can_have_are_no_configuration() -> None:
    for pattern in ("/a/../b", "/a//b", "/a b", "/{other}", "/a?b", "a"):
        with pytest.raises(UsageError):
            Router([Route(operation="x", method="POST", pattern=pattern, action=Action.INFER)])
    with pytest.raises(UsageError, match="two routes"):
        Router([*ROUTES, Route(operation="x", method="GET", pattern="/v2", action=Action.HEALTH)])


def test_a_route_may_name_the_model_itself() -> None:
    router = Router([Route(operation="ask", method="POST", pattern="/score", action=Action.INFER, model="m")])
    assert router.match("POST", b"/score").model == "m"
