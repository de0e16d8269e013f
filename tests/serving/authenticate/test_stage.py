"""Who calls is found out from what they show; who shows something bad is refused."""

import asyncio
import datetime
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwk, jwt

from garrison.serving.authenticate.key_file import create
from garrison.serving.authenticate.settings import Anonymous, Authenticate, Certificate, Issuer
from garrison.serving.authenticate.stage import AuthenticateStage, stage
from garrison.serving.calls import Action, Call, Peer
from garrison.serving.config.config import Config
from garrison.serving.incidents import Incident
from garrison.serving.refusals import Reason, Refused
from garrison.serving.services import Services

SIGNER = jwk.ECKey.generate_key("P-256", {"kid": "k"})


class Clock:
    now = 1_900_000_000.0

    def __call__(self) -> float:
        return self.now


class Unused:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def certificate(*names: x509.GeneralName, days: int = 10_000) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whoever")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


ROBOT = certificate(x509.UniformResourceIdentifier("spiffe://example/robot"))


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, str]:
    path = str(tmp_path / "keys.json")
    return path, create(path, "ana", roles=("caller",))[1]


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    import json

    (tmp_path / "jwks").write_text(json.dumps({"keys": [SIGNER.as_dict(private=False)]}))
    return Issuer(issuer="https://i.example", audiences=("a",), jwks_file=str(tmp_path / "jwks"))


def token(subject: str = "bob") -> str:
    claims = {"iss": "https://i.example", "aud": "a", "sub": subject, "iat": int(Clock.now), "exp": int(Clock.now) + 60}
    return jwt.encode({"alg": "ES256", "kid": "k"}, claims, SIGNER)


def made(incidents: list[Incident] | None = None, **settings: Any) -> AuthenticateStage:
    report = (lambda incident: None) if incidents is None else incidents.append
    services = Services(store=Unused(), report=report, noticed=lambda call, mark: None, monotonic=Clock(), wall=Clock())
    return stage(Config(authenticate=Authenticate(**settings)), None, services)


def called(found: AuthenticateStage, *, shown: bytes | None = None, **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    call = Call(Action.INFER, transport="http", headers=named, peer=Peer("10.0.0.1", shown), model="m")

    async def run() -> None:
        waiting = found.before(call)
        if isinstance(waiting, Awaitable):
            await waiting

    asyncio.run(run())
    return call


def refused(found: AuthenticateStage, **shown: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        called(found, **shown)
    return caught.value


def test_a_key_may_come_in_either_header(keys: tuple[str, str]) -> None:
    found = made(keys=keys[0])
    assert called(found, x_api_key=keys[1]).principal.name == "ana"
    assert called(found, authorization=f"Bearer {keys[1]}").principal.name == "ana"
    assert called(found, authorization=f"bearer {keys[1]}", x_api_key=keys[1]).principal.name == "ana"


def test_nobody_is_let_in_without_a_credential(keys: tuple[str, str]) -> None:
    assert refused(made(keys=keys[0])).reason is Reason.UNAUTHENTICATED
    assert refused(made()).reason is Reason.UNAUTHENTICATED


def test_anonymous_callers_are_let_in_where_that_is_said() -> None:
    assert called(made(anonymous=Anonymous(roles=("public",)))).principal.roles == ("public",)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "x"},
        {"authorization": "Bearer  {key}"},
        {"authorization": "Bearer {key},Bearer {key}"},
        {"authorization": "Bearer {key} "},
        {"x_api_key": ""},
        {"x_api_key": "{key}x"},
        {"x_api_key": "{key}, {key}"},
        {"x_api_key": "none"},
        {"authorization": "Bearer {key}", "x_api_key": "{key}x"},
        {"authorization": "Bearer none", "x_api_key": "{key}"},
        {"authorization": "Basic YTpi", "x_api_key": "{key}"},
        {"authorization": "\tBearer {key}"},
    ],
)
def test_who_shows_something_bad_is_refused_even_with_something_good(
    keys: tuple[str, str], headers: dict[str, str]
) -> None:
    found = made(keys=keys[0], anonymous=Anonymous(roles=("public",)))
    error = refused(found, **{name: value.replace("{key}", keys[1]) for name, value in headers.items()})
    assert error.reason is Reason.UNAUTHENTICATED
    assert error.message == "show a valid key, token or certificate"


def test_a_token_lets_in_and_is_remembered(issuer: Issuer) -> None:
    found = made(issuers=(issuer,))
    shown = token()
    assert called(found, authorization=f"Bearer {shown}").principal.name == "bob"
    assert called(found, authorization=f"Bearer {shown}").principal.method == "token"


def test_a_certificate_lets_in_by_its_names() -> None:
    rule = Certificate(uri="spiffe://example/*", roles=("robot",))
    found = made(certificates=(rule,))
    assert called(found, shown=ROBOT).principal.name == "spiffe://example/robot"
    assert refused(found, shown=certificate()).reason is Reason.UNAUTHENTICATED
    assert refused(found, shown=certificate(x509.DNSName("spiffe://example/x"))).reason is Reason.UNAUTHENTICATED
    assert refused(found, shown=b"no certificate").reason is Reason.UNAUTHENTICATED
    old = certificate(x509.UniformResourceIdentifier("spiffe://example/robot"), days=1)
    assert refused(found, shown=old).reason is Reason.UNAUTHENTICATED


def test_a_bad_certificate_lets_in_nobody_whatever_is_beside_it(keys: tuple[str, str]) -> None:
    found = made(
        keys=keys[0], certificates=(Certificate(uri="spiffe://example/*"),), anonymous=Anonymous(roles=("public",))
    )
    old = certificate(x509.UniformResourceIdentifier("spiffe://example/robot"), days=1)
    for shown in (old, certificate(), b"no certificate"):
        assert refused(found, shown=shown).reason is Reason.UNAUTHENTICATED
        assert refused(found, shown=shown, x_api_key=keys[1]).reason is Reason.UNAUTHENTICATED


def test_a_key_comes_before_a_token_and_a_token_before_a_certificate(keys: tuple[str, str], issuer: Issuer) -> None:
    found = made(keys=keys[0], issuers=(issuer,), certificates=(Certificate(uri="spiffe://*"),))
    assert called(found, shown=ROBOT, x_api_key=keys[1]).principal.name == "ana"
    assert called(found, shown=ROBOT, authorization=f"Bearer {token()}").principal.name == "bob"
    assert called(found, authorization=f"Bearer {token()}", x_api_key=keys[1]).principal.name == "ana"


def test_whoever_guesses_is_noticed_and_its_tokens_are_looked_at_no_more(keys: tuple[str, str], issuer: Issuer) -> None:
    incidents: list[Incident] = []
    found = made(incidents, keys=keys[0], issuers=(issuer,), attempts=5)
    called(found, authorization=f"Bearer {token()}")
    for _ in range(7):
        refused(found, x_api_key="guess")
    assert [one.finding.rule for one in incidents] == ["credential-guessing"]
    assert refused(found, authorization=f"Bearer {token('eve')}").reason is Reason.LIMITED
    # Who is known from there, and who has a key, is let in as before.
    assert called(found, x_api_key=keys[1]).principal.name == "ana"


def test_whether_the_server_is_there_is_told_to_anybody(keys: tuple[str, str]) -> None:
    found = made(keys=keys[0])
    call = Call(Action.HEALTH, transport="http", headers={}, peer=Peer(), operation="server-live")
    found.before(call)
    call = Call(Action.HEALTH, transport="http", headers={}, peer=Peer(), operation="server-metadata")
    with pytest.raises(Refused):
        found.before(call)


def test_addresses_of_one_network_guess_together(keys: tuple[str, str]) -> None:
    incidents: list[Incident] = []
    found = made(incidents, keys=keys[0], attempts=5)
    for number in range(5):
        peer = Peer(f"2001:db8:0:1::{number}")
        call = Call(Action.INFER, transport="http", headers={"x-api-key": "guess"}, peer=peer, model="m")
        with pytest.raises(Refused):
            found.before(call)
    assert [one.finding.rule for one in incidents] == ["credential-guessing"]


def test_the_head_alone_refuses_whom_no_body_would_let_in(keys: tuple[str, str], issuer: Issuer) -> None:
    incidents: list[Incident] = []
    found = made(incidents, keys=keys[0], issuers=(issuer,), attempts=3)

    def head(**headers: str) -> Call:
        call = Call(Action.INFER, transport="http", headers=headers, peer=Peer("10.0.0.1"), model="m")
        found.head(call)
        return call

    assert head(**{"x-api-key": keys[1]}).principal.name == "ana"
    assert head(authorization=f"Bearer {token()}").principal.name == "bob"
    for headers in ({}, {"x-api-key": "guess"}, {"authorization": "Bearer a.b.c"}, {"authorization": "Basic YQ=="}):
        with pytest.raises(Refused) as caught:
            head(**headers)
        assert caught.value.reason is Reason.UNAUTHENTICATED
    assert [one.finding.rule for one in incidents] == ["credential-guessing"]


def test_a_token_for_one_use_is_not_used_by_its_head(issuer: Issuer) -> None:
    found = made(issuers=(msgspec.structs.replace(issuer, once=True),))
    call = Call(Action.INFER, transport="http", headers={"authorization": f"Bearer {token()}"}, peer=Peer(), model="m")
    found.head(call)  # its store raises whenever it is asked
    assert not call.principal.method
