"""Hostile clients before the assembled guard, over raw sockets: what comes of requests that two readers would read in
two ways, of floods, and of bodies that are not what they say. A client that behaves is answered all the while."""

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from garrison.cli.main import main
from tests.serving.guarded import Guard, calls, forget_memory, guarding, most_memory
from tests.serving.test_faults import SCHEMA, Backend, backends, body, good, path, until

LISTEN = "body-timeout = 2\nheader-timeout = 2\nidle-timeout = 5\nmax-connections = 200\n"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Guard, Backend]]:
    folder = tmp_path_factory.mktemp("guard")
    with backends() as (backend,):
        text = f'[backends.default]\nhttp = "{backend.address}"\n' + SCHEMA.format("digits") + "low = 0.0\nhigh = 1.0\n"
        with guarding(folder, text, listen=LISTEN) as guard:
            yield guard, backend
        assert main(["audit", "verify", guard.log]) == 0


def exchanged(guard: Guard, *sent: bytes, seconds: float = 30) -> bytes:
    """All that comes back until the guard closes the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", guard.port), timeout=seconds) as connection, suppress(ConnectionError):
        for part in sent:
            connection.sendall(part)
        while part := connection.recv(1 << 16):
            answer += part
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def head(guard: Guard, *lines: str, target: str = path()) -> bytes:
    named = [f"POST {target} HTTP/1.1", "host: guard", f"x-api-key: {guard.key()}", "content-type: application/json"]
    return "\r\n".join([*named, *lines, "", ""]).encode()


def whole(guard: Guard, sent: bytes, *lines: str) -> bytes:
    return head(guard, f"content-length: {len(sent)}", "connection: close", *lines) + sent


INNER = json.dumps(body("smuggled")).encode()
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)

SMUGGLED = {
    "CL.TE": ("content-length: 5", "transfer-encoding: chunked"),
    "TE.CL": ("transfer-encoding: chunked", "content-length: 5"),
    "TE.TE": ("transfer-encoding: chunked", "transfer-encoding: identity"),
    "TE.TE, unknown": ("transfer-encoding: chunked", "transfer-encoding: x"),
    "TE, list": ("transfer-encoding: gzip, chunked",),
    "TE, space": ("transfer-encoding : chunked",),
    "TE, tab": ("transfer-encoding:\tx\tchunked",),
    "TE, folded": ("transfer-encoding:\r\n chunked",),
    "TE, case of another": ("Transfer-Encoding: xCHUNKED",),
    "CL,CL": ("content-length: 0", "content-length: 5"),
    "CL, list": ("content-length: 0, 5",),
    "CL, signed": ("content-length: -1",),
    "CL, hexadecimal": ("content-length: 0x5",),
    "CL, hidden behind a line feed": ("x: y\ncontent-length: 5",),
    "CL, hidden behind a carriage return": ("x: y\rcontent-length: 5",),
    "CL, underscore": ("content_length: 5", "content-length: 5", "content-length: 6"),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_nothing_is_smuggled(name: str, before: tuple[Guard, Backend]) -> None:
    guard, backend = before
    seen = sum(backend.seen.values())
    hidden = head(guard, f"content-length: {len(INNER)}") + INNER
    answer = exchanged(guard, head(guard, *SMUGGLED[name]) + b"0\r\n\r\n" + CHUNKED + hidden)
    assert statuses(answer) == [400]
    assert sum(backend.seen.values()) == seen
    assert not backend.sent["smuggled"]
    assert calls(guard.log)[-1]["refused"] == "malformed"
    assert guard.ask(path(), body())[0] == 200


def test_a_body_in_chunks_reaches_the_server_with_one_length(before: tuple[Guard, Backend]) -> None:
    guard, backend = before
    sent = json.dumps(body("in chunks")).encode()
    chunks = b"".join(b"%x;a=b\r\n%b\r\n" % (1, bytes([byte])) for byte in sent) + b"0\r\n\r\n"
    answer = exchanged(guard, head(guard, "transfer-encoding: chunked", "connection: close"), chunks)
    assert statuses(answer) == [200]
    assert backend.sent["in chunks"] == 1


def entry(**changed: object) -> bytes:
    return json.dumps({"inputs": [{**body()["inputs"][0], **changed}]}).encode()


ONE = '{"name":"x","datatype":"FP32","shape":[1,2],"data":[0.5,0.5]}'
BODIES = {
    "a bomb of lists": b'{"inputs": ' + b"[" * 1_000_000,
    "a bomb of objects": b'{"a":' * 500_000,
    "a bomb inside of data": entry().replace(b"[0.5", b"[" * 100_000 + b"0.5"),
    "a number of a million digits": entry().replace(b"0.5", b"1" * 1_000_000, 1),
    "a number with a huge exponent": entry().replace(b"0.5", b"1e999999999", 1),
    "a hundred thousand inputs": b'{"inputs": [' + b",".join([b"{}"] * 100_000) + b"]}",
    "a hundred thousand parameters": b'{"parameters": {%b}, "inputs": []}'
    % b",".join(b'"%d": 1' % number for number in range(100_000)),
    "invalid UTF-8": entry(name="x").replace(b'"x"', b'"\xff\xfe"'),
    "invalid UTF-8 in a key": b'{"in\xc3puts": []}',
    "half a surrogate": entry().replace(b'"x"', b'"\\ud800"'),
    "UTF-16": entry().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + entry(),
    "nothing": b"",
    "not JSON": b"x=1",
    "two documents": entry() + entry(),
    "NaN": entry().replace(b"0.5", b"NaN", 1),
    "Infinity": entry().replace(b"0.5", b"-Infinity", 1),
    "beyond FP32": entry(data=[1e308, 0.5]),
    "a negative shape": entry(shape=[-1, 2]),
    "two negative lengths": entry(shape=[-1, -2]),
    "a huge shape": entry(shape=[1 << 62, 2]),
    "a shape that overflows": entry(shape=[1 << 32, 1 << 32, 2]),
    "a shape beyond 64 bits": entry(shape=[1 << 80, 2]),
    "a shape of floats": entry(shape=[1.0, 2.0]),
    "a shape of truths": entry(shape=[True, 2]),
    "a long shape": entry(shape=[1] * 10_000 + [2]),
    "no rows": entry(shape=[0, 2], data=[]),
    "fewer values than it says": entry(shape=[1000, 2]),
    "more values than it says": entry(data=[0.5] * 1000),
    "texts": entry(data=["0.5", "0.5"]),
    "truths": entry(data=[True, False]),
    "an unknown datatype": entry(datatype="FP128"),
    "the same input twice": f'{{"inputs":[{ONE},{ONE}]}}'.encode(),
    "another input": f'{{"inputs":[{ONE},{ONE.replace("x", "y", 1)}]}}'.encode(),
    "inputs twice": f'{{"inputs":[{ONE}],"inputs":[{ONE.replace("0.5", "9")}]}}'.encode(),
    "inputs twice, once escaped": f'{{"inputs":[{ONE}],"\\u0069nputs":[{ONE.replace("0.5", "9")}]}}'.encode(),
    "data twice": f'{{"inputs":[{ONE[:-1]},"data":[9,9]}}]}}'.encode(),
    "a file": entry(parameters={"path": "/etc/passwd"}),
    "shared memory": entry(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 8}),
    "binary data that is not there": entry(parameters={"binary_data_size": 8}),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_not_what_a_model_takes_reach_no_server(name: str, before: tuple[Guard, Backend]) -> None:
    guard, backend = before
    seen = sum(backend.seen.values())
    held = forget_memory(guard.process.pid)
    begun = time.monotonic()
    answer = exchanged(guard, whole(guard, BODIES[name]))
    (status,) = statuses(answer)
    assert status in (400, 413, 422)
    assert time.monotonic() - begun < 10
    assert most_memory(guard.process.pid) - held < 150
    assert sum(backend.seen.values()) == seen
    assert guard.ask(path(), body())[0] == 200


@pytest.mark.parametrize("key", ["inputs", "\\u0069nputs"])
def test_what_comes_twice_reaches_the_server_once(key: str, before: tuple[Guard, Backend]) -> None:
    """The last one is held to the schema, and a server that would read the first has no choice."""
    guard, backend = before
    sent = f'{{"{key}":[{ONE.replace("0.5", "9")}],"inputs":[{ONE[:-1]},"data":[0.25,0.25]}}]}}'.encode()
    assert statuses(exchanged(guard, whole(guard, sent))) == [200]
    assert backend.last.count(b'"inputs"') == backend.last.count(b'"data"') == 1
    assert json.loads(backend.last)["inputs"][0]["data"] == [0.25, 0.25]


def binary(size: object, data: bytes, *, declared: str = "", shape: tuple[int, ...] = (1, 2)) -> tuple[bytes, str]:
    """A body of the binary extension, and the header that says where its JSON ends."""
    one = {"name": "x", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": size}}
    described = json.dumps({"inputs": [one]}).encode()
    return described + data, f"inference-header-content-length: {declared or len(described)}"


TWO = struct.pack("<2f", 0.5, 0.5)
LIES = {
    "more than there is": binary(1 << 20, TWO),
    "less than there is": binary(4, TWO),
    "negative": binary(-8, TWO),
    "a text": binary("8", TWO),
    "huge": binary(1 << 63, TWO),
    "another shape": binary(8, TWO, shape=(1, 4)),
    "bytes behind the last tensor": binary(8, TWO + b"x"),
    "a head beyond the body": binary(8, TWO, declared="100000"),
    "a head of nothing": binary(8, TWO, declared="0"),
    "a negative head": binary(8, TWO, declared="-1"),
    "a head that is no number": binary(8, TWO, declared="1e2"),
    "not a number": binary(8, struct.pack("<2f", 0.5, float("nan"))),
}


@pytest.mark.parametrize("name", LIES)
def test_counts_of_bytes_that_lie_reach_no_server(name: str, before: tuple[Guard, Backend]) -> None:
    guard, backend = before
    seen = sum(backend.seen.values())
    sent, header = LIES[name]
    (status,) = statuses(exchanged(guard, whole(guard, sent, header)))
    assert status in (400, 413, 422)
    assert sum(backend.seen.values()) == seen


def test_binary_data_that_is_as_it_says_reaches_it(before: tuple[Guard, Backend]) -> None:
    guard, backend = before
    seen = sum(backend.seen.values())
    sent, header = binary(8, TWO)
    assert statuses(exchanged(guard, whole(guard, sent, header))) == [200]
    assert sum(backend.seen.values()) == seen + 1


TARGETS = {
    "dots": "/v2/models/digits/../../repository/models/digits/unload",
    "encoded dots": "/v2/models/%2e%2e/repository/index",
    "an encoded slash": "/v2/models/digits%2finfer",
    "encoded twice": "/v2/models/digits%252finfer",
    "a null": "/v2/models/digits%00/infer",
    "two slashes": "//v2/models/digits/infer",
    "an empty segment": "/v2/models//infer",
    "a backslash": "/v2\\models\\digits\\infer",
    "an address": "http://169.254.169.254/latest/meta-data",
    "a semicolon": "/v2/models/digits/infer;x=y",
}


@pytest.mark.parametrize("name", TARGETS)
def test_paths_that_could_be_read_in_two_ways(name: str, before: tuple[Guard, Backend]) -> None:
    guard, backend = before
    seen = sum(backend.seen.values())
    answer = exchanged(guard, head(guard, "content-length: 0", "connection: close", target=TARGETS[name]))
    assert statuses(answer)[0] in (400, 404)
    assert sum(backend.seen.values()) == seen


def test_slow_and_silent_clients_keep_nobody_from_being_answered(before: tuple[Guard, Backend]) -> None:
    guard, _ = before
    held = forget_memory(guard.process.pid)
    slow = [
        head(guard, "content-length: 100")[:40],
        head(guard, "content-length: 100") + b'{"inputs"',
        head(guard, "transfer-encoding: chunked") + b"5\r\nab",
        b"",
    ]
    connections = [socket.create_connection(("127.0.0.1", guard.port), timeout=30) for _ in range(120)]
    try:
        for number, one in enumerate(connections):
            one.sendall(slow[number % len(slow)])
        for _ in range(20):
            assert guard.ask(path(), body())[0] == 200
        # All of them are let go of, those who have begun to ask with a word.
        answers = []
        for one in connections:
            answer = b""
            with suppress(ConnectionError):
                while part := one.recv(1 << 16):
                    answer += part
            answers.append(statuses(answer))
    finally:
        for one in connections:
            one.close()
    assert answers == [[408], [408], [408], []] * 30
    assert most_memory(guard.process.pid) - held < 60
    assert guard.ask(path(), body())[0] == 200


def test_floods_of_headers_and_of_garbage(before: tuple[Guard, Backend]) -> None:
    guard, _ = before
    held = forget_memory(guard.process.pid)
    floods = [
        head(guard, *[f"x-{number}: y" for number in range(5000)]),
        head(guard, "x: " + "y" * 1_000_000),
        head(guard, target="/" + "a" * 1_000_000),
        b"\x00\xff" * 500_000,
        b"GET / HTTP/1.1\r\n" * 50_000,
        head(guard, "content-length: 1", target="/v2/models/digits/infer?" + "a=b&" * 100_000) + b"x",
    ]
    found: dict[int, list[int]] = {}

    def flood(number: int) -> None:
        found[number] = [status for _ in range(5) for status in statuses(exchanged(guard, floods[number]))]

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(len(floods))]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert guard.ask(path(), body())[0] == 200
    for thread in threads:
        thread.join()
    # Where the guard resets what still comes, its word may be lost; nobody is let in.
    assert all(set(one) <= {400, 413} for one in found.values())
    assert sum(map(len, found.values())) > 0
    assert most_memory(guard.process.pid) - held < 60


def test_a_large_body_without_a_key_is_not_waited_for(before: tuple[Guard, Backend]) -> None:
    guard, _ = before
    large = b"POST " + path().encode() + b" HTTP/1.1\r\nhost: a\r\ncontent-length: 999999999\r\n\r\n"
    assert statuses(exchanged(guard, large)) == [413]


def test_who_leaves_is_recorded_and_the_server_is_not_blamed(before: tuple[Guard, Backend]) -> None:
    guard, backend = before
    seen = sum(backend.seen.values())
    left = threading.Event()

    def late(connection: socket.socket) -> bool:
        left.wait(30)
        return good(connection)

    backend.behave = late
    try:
        for number in range(15):
            with socket.create_connection(("127.0.0.1", guard.port)) as connection:
                connection.sendall(whole(guard, json.dumps(body()).encode()))
                until(lambda number=number: sum(backend.seen.values()) == seen + number + 1)  # type: ignore[misc]
        until(lambda: [one["refused"] for one in calls(guard.log)[-15:]] == ["cancelled"] * 15)
    finally:
        backend.behave = good
        left.set()
    assert {one["status"] for one in calls(guard.log)[-15:]} == {499}
    # Ten failures in a row would have had the server left alone.
    assert guard.ask(path(), body())[0] == 200


def test_bodies_that_do_not_end_keep_nobody_out(tmp_path: Path) -> None:
    with backends() as (backend,):
        text = f'[backends.default]\nhttp = "{backend.address}"\n' + SCHEMA.format("digits")
        with guarding(tmp_path, text, listen="max-buffered = 8000000\nbody-timeout = 20\n") as guard:
            slow = [socket.create_connection(("127.0.0.1", guard.port), timeout=30) for _ in range(8)]
            try:
                for one in slow:
                    one.sendall(head(guard, "content-length: 1000000") + b" " * 999_990)
                # Within a tenth of their time they may fill what there is.
                time.sleep(2.5)
                until(lambda: [guard.ask(path(), body())[0] for _ in range(5)] == [200] * 5, 12)
            finally:
                for one in slow:
                    one.close()
