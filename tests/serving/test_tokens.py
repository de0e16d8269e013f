"""Tokens of an issuer on loopback, by REST and gRPC, through the guard to both real servers."""

import asyncio
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from joserfc import jwt

from tests.serving.authenticate.test_tokens import EC, ED, OTHER, RSA, b64, forged, public, serving
from tests.serving.authenticate.test_tokens import Server as Issuer
from tests.serving.grpc.guards import INFER, asked, question
from tests.serving.guarded import SCHEMA, Guard, ask, calls, guarding
from tests.serving.servers import Server

pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")

GOOD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0.5] * 64}]}
GUARD = """
[backends.default]
http = "{http}"
grpc = "{grpc}"

[[authenticate.issuers]]
issuer = "{issuer}"
audiences = ["models"]
role-names = {{"model-callers" = "caller"}}
"""


@dataclass
class Setting:
    guard: Guard
    issuer: Issuer

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        found = {"iss": self.issuer.address, "aud": "models", "sub": "ana", "roles": ["model-callers"]}
        return {**found, "iat": now, "exp": now + 300, **changed}

    def token(self, key: Any = RSA, algorithm: str = "RS256", **changed: Any) -> str:
        return jwt.encode({"alg": algorithm, "kid": key.kid}, self.claims(**changed), key, algorithms=[algorithm])

    def statuses(self, token: str) -> tuple[int, str]:
        """What REST and gRPC answer to an inference with a token."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        rest, _, _ = ask(self.guard.http, "/v2/models/digits/infer", GOOD, headers)
        return rest, asyncio.run(self._by_grpc(token))

    async def _by_grpc(self, token: str) -> str:
        sent = question([0.5] * 64, model="digits")
        sent.inputs[0].shape[:] = [1, 64]
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        async with grpc.aio.insecure_channel(self.guard.grpc) as channel:
            try:
                await asked(channel, sent.SerializeToString(), method=INFER, metadata=metadata, timeout=60)
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
        return "OK"


@contextmanager
def setting(server: Server, folder: Path, *keys: Any, silent: bool = False, more: str = "") -> Iterator[Setting]:
    """A guard before a server, and an issuer that has these keys when the guard begins to ask; `more` is of it."""
    with serving() as issuer:
        issuer.keys = public(*keys)
        if silent:
            issuer.answers["/keys"] = (500, b"")
        text = GUARD.format(http=server.http, grpc=server.grpc, issuer=issuer.address) + more + SCHEMA
        with guarding(folder, text, grpc=True, authenticate="attempts = 1000") as guard:
            yield Setting(guard, issuer)


@pytest.fixture(scope="module", params=["mlserver", "triton"])
def before(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    with setting(request.getfixturevalue(request.param), tmp_path_factory.mktemp("guard"), RSA, EC, ED) as found:
        yield found


@pytest.mark.parametrize("key, algorithm", [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")])
def test_tokens_let_in(key: Any, algorithm: str, before: Setting) -> None:
    assert before.statuses(before.token(key, algorithm)) == (200, "OK")
    found = calls(before.guard.log)[-2:]
    assert [(one["principal"], one["method"], one["transport"]) for one in found] == [
        ("ana", "token", "http"), ("ana", "token", "grpc"),
    ]  # fmt: skip


def test_what_a_token_allows_is_decided_by_its_roles(before: Setting) -> None:
    for roles in ([], ["admin"], ["caller"]):
        assert before.statuses(before.token(roles=roles)) == (403, "PERMISSION_DENIED")


def tricks(before: Setting) -> dict[str, str]:
    now = int(time.time())
    good = before.token()
    head, claims, signature = good.split(".")
    body = before.claims()
    return {
        "none": "",
        "no signature": f"{head}.{claims}.",
        "alg none": forged({"alg": "none"}, body),
        "alg None, with the id of a key": forged({"alg": "None", "kid": "rsa"}, body),
        "key confusion": confused(body),
        "signed by another": before.token(OTHER),
        "brings its key": forged({"alg": "RS256", "jwk": OTHER.as_dict(private=False)}, body, b"x"),
        "zeros for a signature": forged({"alg": "ES256", "kid": "ec"}, body, bytes(64)),
        "other claims": f"{head}.{forged({}, before.claims(sub='root')).split('.')[1]}.{signature}",
        "ended": before.token(iat=now - 600, exp=now - 120),
        "not begun": before.token(nbf=now + 3600),
        "lives for ever": before.token(exp=now + 10 * 366 * 86400),
        "of another issuer": before.token(iss="https://issuer.example"),
        "for another audience": before.token(aud="elsewhere"),
    }


def confused(claims: dict[str, Any]) -> str:
    """HMAC with the text of the public key as its key."""
    signed, _, _ = forged({"alg": "HS256", "kid": "rsa"}, claims).rpartition(".")
    return f"{signed}.{b64(hmac.digest(RSA.as_pem(private=False), signed.encode(), 'sha256'))}"


def test_tricks_let_nobody_in(before: Setting) -> None:
    seen = len(calls(before.guard.log))
    for name, token in tricks(before).items():
        assert before.statuses(token) == (401, "UNAUTHENTICATED"), name
    assert before.statuses(before.token()) == (200, "OK")
    found = calls(before.guard.log)[seen:]
    assert [one["refused"] for one in found[:-2]] == ["unauthenticated"] * (len(found) - 2)
    assert not any("eyJ" in json.dumps(one) for one in found)


def test_a_token_ends_while_its_caller_goes_on(before: Setting) -> None:
    now = int(time.time())
    # It ended 28 seconds ago, of the 30 by which clocks may differ.
    token = before.token(iat=now - 60, exp=now - 28)
    latest = time.monotonic() + 30
    while before.statuses(token) != (401, "UNAUTHENTICATED"):
        assert time.monotonic() < latest
        time.sleep(0.2)
    assert time.time() > now + 1


def test_an_issuer_rotates_its_keys(mlserver: Server, tmp_path: Path) -> None:
    with setting(mlserver, tmp_path, RSA) as before:
        old = before.token()
        assert before.statuses(old) == (200, "OK")
        before.issuer.keys = public(EC)
        new = before.token(EC, "ES256")
        latest = time.monotonic() + 60
        # The issuer is asked for an unknown key at most once in ten seconds.
        while before.statuses(new) != (200, "OK"):
            assert time.monotonic() < latest
            time.sleep(1)
        assert before.statuses(old) == (401, "UNAUTHENTICATED")
        assert before.issuer.asked.count("/keys") <= 4


def test_without_its_issuer_a_guard_lets_in_none_of_its_callers(mlserver: Server, tmp_path: Path) -> None:
    with setting(mlserver, tmp_path, RSA, silent=True) as before:
        assert before.statuses(before.token()) in ((503, "UNAVAILABLE"), (401, "UNAUTHENTICATED"))
        # Keys of the guard's own are good all the same.
        assert before.guard.ask("/v2/models/digits/infer", GOOD)[0] == 200


def test_a_token_for_one_use_is_good_once_whichever_way_it_comes(mlserver: Server, tmp_path: Path) -> None:
    with setting(mlserver, tmp_path, RSA, more="once = true\n") as before:
        assert before.statuses(before.token(jti="1")) == (200, "UNAUTHENTICATED")
        assert before.statuses(before.token(jti="1")) == (401, "UNAUTHENTICATED")
        assert before.statuses(before.token(jti="2")) == (200, "UNAUTHENTICATED")
        assert before.statuses(before.token()) == (401, "UNAUTHENTICATED")
