"""Tokens of a real issuer on loopback; and what attackers make of tokens."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc import jwk, jws, jwt

from garrison.core.errors import UsageError
from garrison.serving.authenticate.key_sets import KeySet, Unavailable
from garrison.serving.authenticate.settings import Issuer
from garrison.serving.authenticate.tokens import BadToken, Tokens
from garrison.serving.calls import Principal

RSA = jwk.RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC = jwk.ECKey.generate_key("P-256", {"kid": "ec", "alg": "ES256"})
ED = jwk.OKPKey.generate_key("Ed25519", {"kid": "ed"})
pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
"""Of making tokens by EdDSA's old name, and short keys, which issuers do."""

OTHER = jwk.RSAKey.generate_key(2048, {"kid": "rsa"})
NOW = 1_900_000_000.0
CERTIFICATE = b"a certificate"


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Once:
    """A store that knows what was added."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    async def add(self, key: str, lifetime: float) -> bool:
        new = key not in self.keys
        self.keys.add(key)
        return new

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def public(*keys: Any) -> str:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    path = tmp_path / "jwks.json"
    path.write_text(public(RSA, EC, ED))
    return Issuer(issuer="https://issuer.example", audiences=("models",), jwks_file=str(path))


def claims(**changed: Any) -> dict[str, Any]:
    found = {"iss": "https://issuer.example", "aud": "models", "sub": "ana", "iat": int(NOW), "exp": int(NOW) + 600}
    found |= changed
    return {name: value for name, value in found.items() if value is not ...}


def signed(key: Any = RSA, header: dict[str, Any] | None = None, algorithm: str = "RS256", **changed: Any) -> str:
    head = {"alg": algorithm, "kid": key.kid, **(header or {})}
    return jwt.encode({n: v for n, v in head.items() if v is not ...}, claims(**changed), key, algorithms=[algorithm])


def who(issuer: Issuer, token: str, *, certificate: bytes | None = None, clock: Clock | None = None) -> Principal:
    async def run() -> Principal:
        tokens = Tokens((issuer,), Once(), wall=clock or Clock(), monotonic=clock or Clock())
        found = tokens.verify(token, certificate)
        return await found if isinstance(found, Awaitable) else found

    return asyncio.run(run())


def test_tokens_of_all_kinds_of_keys_let_in(issuer: Issuer) -> None:
    for key, algorithm in ((RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")):
        assert who(issuer, signed(key, algorithm=algorithm)).name == "ana"


def test_claims_say_who_it_is(issuer: Issuer) -> None:
    import msgspec

    token = signed(roles=["ml-callers", "others"], org="bank", team="risk")
    issuer = msgspec.structs.replace(
        issuer, tenant="org", attributes={"group": "team"}, role_names={"ml-callers": "caller"}
    )
    found = who(issuer, token)
    assert (found.roles, found.tenant, found.attributes) == (("caller",), "bank", {"group": "risk"})
    assert who(msgspec.structs.replace(issuer, role_names={}, roles="scope"), signed(scope="a b")).roles == ("a", "b")


def b64(data: bytes | dict[str, Any]) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header: Any, body: Any = None, signature: bytes = b"") -> str:
    return f"{b64(header)}.{b64(claims() if body is None else body)}.{b64(signature)}"


def confused() -> str:
    """HMAC with the text of the public key as its key."""
    message = f"{b64({'alg': 'HS256', 'kid': 'rsa'})}.{b64(claims())}"
    return f"{message}.{b64(hmac.new(RSA.as_pem(private=False), message.encode(), hashlib.sha256).digest())}"


GOOD = signed()
HEAD, BODY, SIGNATURE = GOOD.split(".")


@pytest.mark.parametrize(
    "token",
    {
        "empty": "",
        "no token": "x.y",
        "four parts": GOOD + ".x",
        "alg none": forged({"alg": "none", "kid": "rsa"}),
        "alg None": forged({"alg": "None", "kid": "rsa"}),
        "no alg": forged({"kid": "rsa"}),
        "alg in a list": forged({"alg": ["RS256"], "kid": "rsa"}),
        "key confusion": confused(),
        "signed by another": signed(OTHER),
        "no signature": f"{HEAD}.{BODY}.",
        "another body": f"{HEAD}.{b64(claims(sub='root'))}.{SIGNATURE}",
        "psychic signature": forged({"alg": "ES256", "kid": "ec"}, signature=b"\0" * 64),
        "half a signature": forged({"alg": "ES256", "kid": "ec"}, signature=b"\0" * 32),
        "signature in DER": forged({"alg": "ES256", "kid": "ec"}, signature=b"0\x06\x02\x01\x00\x02\x01\x00"),
        "key of another algorithm": signed(RSA, {"kid": "ec"}),
        "algorithm that is not allowed": signed(RSA, algorithm="RS384"),
        "unknown key": signed(RSA, {"kid": "../../etc/passwd"}),
        "kid that is long": signed(RSA, {"kid": "x" * 300}),
        "kid that is a number": forged({"alg": "RS256", "kid": 1}),
        "brings its key": forged({"alg": "RS256", "jwk": OTHER.as_dict(private=False)}, signature=b"x"),
        "points to keys": signed(RSA, {"jku": "https://evil.example/keys"}),
        "points to a certificate": signed(RSA, {"x5u": "https://evil.example/c"}),
        "brings a certificate": forged({"alg": "RS256", "kid": "rsa", "x5c": ["AA"]}),
        "critical": forged({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}),
        "unencoded body": forged({"alg": "RS256", "kid": "rsa", "b64": False, "crit": ["b64"]}),
        "encrypted": forged({"alg": "dir", "enc": "A128GCM"}),
        "another type": signed(RSA, {"typ": "dpop+jwt"}),
        "alg twice": f'{b64(b"{" + b"""  "alg":"none","alg":"RS256","kid":"rsa"}""")}.{BODY}.{SIGNATURE}',
        "claims twice": forged({"alg": "RS256", "kid": "rsa"}, b'{"iss":"https://issuer.example","iss":"x"}'),
        "no claims": forged({"alg": "RS256", "kid": "rsa"}, b"[]"),
        "deep": forged({"alg": "RS256", "kid": "rsa"}, b"[" * 5000),
        "huge": forged({"alg": "RS256", "kid": "rsa"}, claims(x="y" * 20_000)),
        "padded": GOOD + "=",
        "space": GOOD + " ",
        "line": GOOD + "\n",
        "loose bits": HEAD + "." + BODY[:-1] + chr(ord(BODY[-1]) + 1) + "." + SIGNATURE,
        "unicode": GOOD + "é",
        "another issuer": signed(iss="https://issuer.example/"),
        "no issuer": signed(iss=...),
        "issuers": signed(iss=["https://issuer.example"]),
        "another audience": signed(aud="other"),
        "no audience": signed(aud=...),
        "ended": signed(exp=int(NOW) - 31),
        "never ends": signed(exp=...),
        "ends some time": signed(exp="tomorrow"),
        "ends never": signed(exp=1e300),
        "lives long": signed(exp=int(NOW) + 90_000),
        "issued tomorrow": signed(iat=int(NOW) + 60),
        "not issued": signed(iat=...),
        "begins tomorrow": signed(nbf=int(NOW) + 60),
        "nobody": signed(sub=...),
        "nobody by name": signed(sub=""),
        "a number": signed(sub=1),
        "two lines": signed(sub="ana\nroot"),
        "bound to another": signed(cnf={"x5t#S256": "AAAA"}),
        "bound to a key": signed(cnf={"jkt": "AAAA"}),
    }.items(),
    ids=lambda item: item[0],
)  # fmt: skip
def test_what_attackers_make_of_tokens_lets_nobody_in(issuer: Issuer, token: tuple[str, str]) -> None:
    with pytest.raises((BadToken, Unavailable)):
        who(issuer, token[1])


def test_a_bound_token_is_good_with_its_certificate_only(issuer: Issuer) -> None:
    import msgspec

    digest = b64(hashlib.sha256(CERTIFICATE).digest())
    token = signed(cnf={"x5t#S256": digest})
    assert who(issuer, token, certificate=CERTIFICATE).name == "ana"
    for certificate in (None, b"another"):
        with pytest.raises(BadToken, match="bound to another"):
            who(issuer, token, certificate=certificate)
    with pytest.raises(BadToken, match="not bound"):
        who(msgspec.structs.replace(issuer, bound=True), signed(), certificate=CERTIFICATE)


def test_a_token_that_is_for_one_use_is_good_once(issuer: Issuer) -> None:
    import msgspec

    issuer = msgspec.structs.replace(issuer, once=True)

    async def run() -> None:
        tokens = Tokens((issuer,), Once(), wall=Clock(), monotonic=Clock())
        token = signed(jti="1")
        first = tokens.verify(token, None)
        assert isinstance(first, Awaitable)
        assert (await first).name == "ana"
        assert tokens.known(token, None) is None
        with pytest.raises(BadToken, match="used before"):
            await tokens.verify(token, None)  # type: ignore[misc]
        with pytest.raises(BadToken, match="no jti"):
            await tokens.verify(signed(), None)  # type: ignore[misc]

    asyncio.run(run())


def test_a_token_that_was_verified_is_remembered_until_it_ends(issuer: Issuer) -> None:
    clock = Clock()
    tokens = Tokens((issuer,), Once(), wall=clock, monotonic=clock)
    assert tokens.known(GOOD, None) is None
    tokens.verify(GOOD, None)
    found = tokens.known(GOOD, None)
    assert found is not None
    assert found.name == "ana"
    clock.now += 631
    assert tokens.known(GOOD, None) is None
    clock.now -= 1000
    assert tokens.known(GOOD, None) is None


class Server(http.server.ThreadingHTTPServer):
    """An issuer: a discovery document and its keys."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.keys = public(RSA)
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, bytes]] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.path)
        documents = {
            "/.well-known/openid-configuration": json.dumps(
                {"issuer": server.address, "jwks_uri": f"{server.address}/keys"}
            ).encode(),
            "/keys": server.keys.encode(),
        }
        status, body = server.answers.get(self.path) or (200, documents.get(self.path, b""))
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/keys")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def asked(tokens: Tokens, token: str) -> Principal:
    async def run() -> Principal:
        found = tokens.verify(token, None)
        return await found if isinstance(found, Awaitable) else found

    return asyncio.run(run())


def test_keys_are_found_by_discovery_and_rotated() -> None:
    clock = Clock()
    with serving() as server:
        issuer = Issuer(issuer=server.address, audiences=("models",))
        tokens = Tokens((issuer,), Once(), wall=clock, monotonic=clock)
        token = signed(iss=server.address)
        assert asked(tokens, token).name == "ana"
        assert server.asked == ["/.well-known/openid-configuration", "/keys"]
        server.keys = public(EC)
        clock.now += 11
        assert asked(tokens, signed(EC, algorithm="ES256", iss=server.address)).name == "ana"
        # What was signed with a key that has gone is good no more, remembered or not.
        assert tokens.known(token, None) is None
        clock.now += 11
        with pytest.raises(BadToken):
            asked(tokens, token)


def test_made_up_keys_make_the_issuer_be_asked_rarely() -> None:
    clock = Clock()
    with serving() as server:
        tokens = Tokens((Issuer(issuer=server.address, audiences=("models",)),), Once(), wall=clock, monotonic=clock)
        for number in range(20):
            with pytest.raises(BadToken):
                asked(tokens, signed(RSA, {"kid": str(number)}, iss=server.address))
        assert server.asked.count("/keys") == 1


def test_an_issuer_that_does_not_answer_is_done_without_for_a_while() -> None:
    clock = Clock()
    with serving() as server:
        tokens = Tokens((Issuer(issuer=server.address, audiences=("models",)),), Once(), wall=clock, monotonic=clock)
        server.answers["/keys"] = (500, b"")
        with pytest.raises(Unavailable):
            asked(tokens, signed(iss=server.address))
        del server.answers["/keys"]
        clock.now += 11
        assert asked(tokens, signed(iss=server.address)).name == "ana"
        server.answers["/keys"] = (500, b"")
        clock.now += 1000
        later = signed(iss=server.address, iat=int(clock.now), exp=int(clock.now) + 60)
        assert asked(tokens, later).name == "ana"
        lasting = signed(iss=server.address, iat=int(clock.now), exp=int(clock.now) + 86_400)
        assert asked(tokens, lasting).name == "ana"
        clock.now += 86_300
        assert tokens.known(lasting, None) is None  # verified once, with a key of which nobody knows any more
        clock.now += 100
        with pytest.raises(Unavailable):
            asked(tokens, signed(iss=server.address, iat=int(clock.now), exp=int(clock.now) + 60))


@pytest.mark.parametrize(
    "path, answer",
    [
        ("/keys", (302, b"")),
        ("/keys", (200, b"{")),
        ("/keys", (200, b'{"keys": []}')),
        ("/keys", (200, b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "rsa"}]}')),
        ("/keys", (200, b" " * (2 << 20))),
        ("/.well-known/openid-configuration", (200, b'{"issuer": "https://other", "jwks_uri": "https://other/"}')),
        ("/.well-known/openid-configuration", (200, b"[]")),
        ("/.well-known/openid-configuration", (404, b"")),
    ],
)  # fmt: skip
def test_what_is_no_set_of_keys_is_none(path: str, answer: tuple[int, bytes]) -> None:
    clock = Clock()
    with serving() as server:
        server.answers[path] = answer
        tokens = Tokens((Issuer(issuer=server.address, audiences=("models",)),), Once(), wall=clock, monotonic=clock)
        with pytest.raises(Unavailable):
            asked(tokens, signed(iss=server.address))


@pytest.mark.parametrize("address", ["http://issuer.example", "ftp://issuer.example", "issuer.example", "file:///etc"])
def test_keys_are_fetched_by_https_only(address: str) -> None:
    with pytest.raises(UsageError):
        KeySet(Issuer(issuer=address, audiences=("models",)))


def test_principals_of_several_issuers_are_not_one(issuer: Issuer) -> None:
    import msgspec

    other = msgspec.structs.replace(issuer, issuer="https://other.example")
    with pytest.raises(UsageError, match="a prefix of their own"):
        Tokens((issuer, other), Once())
    other = msgspec.structs.replace(other, prefix="other:")
    assert who(other, signed(iss="https://other.example")).name == "other:ana"


def test_keys_that_are_too_short_or_for_something_else_are_not_used(tmp_path: Path) -> None:
    encrypting = RSA.as_dict(private=False) | {"use": "enc", "kid": "enc"}
    short = jwk.RSAKey.generate_key(1024, {"kid": "short"}).as_dict(private=False)
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [encrypting, short, EC.as_dict(private=False), {"kty": "RSA", "key_ops": 5}]}))
    issuer = Issuer(issuer="https://issuer.example", audiences=("models",), jwks_file=str(path))
    keys = KeySet(issuer)
    assert keys.key("RS256", "enc") is None
    assert keys.key("RS256", "short") is None
    assert keys.key("ES256", "ec") is not None
    assert keys.key("ES384", "ec") is None


def test_a_peers_tokens_are_read(issuer: Issuer) -> None:
    """Made by joserfc's lower layer, as other libraries make them."""
    token = jws.serialize_compact({"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}, json.dumps(claims()), RSA)
    assert who(issuer, token).name == "ana"


def test_another_configuration_goes_on_with_the_keys_of_an_issuer_that_does_not_answer_now() -> None:
    clock = Clock()
    with serving() as server:
        issuer = Issuer(issuer=server.address, audiences=("models",))
        before = Tokens((issuer,), Once(), wall=clock, monotonic=clock)
        asked(before, signed(iss=server.address))
        server.answers["/keys"] = (500, b"")
        after = Tokens((issuer,), Once(), wall=clock, monotonic=clock)
        after.take_over(before)
        assert asked(after, signed(iss=server.address)).name == "ana"
        changed = Tokens((msgspec.structs.replace(issuer, refresh=60.0),), Once(), wall=clock, monotonic=clock)
        changed.take_over(before)
        with pytest.raises(Unavailable):
            asked(changed, signed(iss=server.address))
