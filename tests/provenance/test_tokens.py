"""Keys in tokens: URIs that name them, signatures that they make, and what each refusal says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from garrison.core.errors import UsageError
from garrison.provenance.keys import WrongPassphrase, same, verified
from garrison.provenance.tokens import TokenAgreement, TokenSigner, TokenURI, opened_token, parsed
from tests.provenance import softhsm
from tests.provenance.softhsm import PIN, SoftToken

CURVES = {"01": ec.SECP256R1(), "02": ec.SECP384R1(), "03": ec.SECP521R1()}
KEYS = {number: ec.generate_private_key(curve) for number, curve in CURVES.items()}


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SOFTHSM2_CONF", "")
        made = SoftToken(tmp_path_factory.mktemp("token"))
        for number, key in KEYS.items():
            made.add(key, f"key {number}", number)
        made.add(KEYS["01"], "twice", "0a")
        made.add(KEYS["02"], "twice", "0b")
        made.add(rsa.generate_private_key(65537, 2048), "rsa", "0c")
        made.generate("agrees", derive=True)
        made.generate("signs", derive=False)
        yield made


def ask() -> str:
    return PIN


@softhsm.needed
@pytest.mark.parametrize("number", CURVES)
@pytest.mark.parametrize("more", [";id=%{0}", ";object=key%20{0}", ";type=private;object=key%20{0};id=%{0}"])
def test_a_key_in_a_token_signs_as_its_public_half_verifies(number: str, more: str, token: SoftToken) -> None:
    with opened_token(token.uri(more.format(number)), ask) as opened:
        signer = TokenSigner(opened)
        assert same(signer.public_key, KEYS[number].public_key())
        assert verified(signer.public_key, signer.sign(b"model"), b"model")
        assert not verified(signer.public_key, signer.sign(b"model"), b"other")


@softhsm.needed
def test_a_key_in_a_token_agrees_as_its_public_half_does(token: SoftToken) -> None:
    with opened_token(token.uri(";object=agrees"), ask) as opened:
        agreement = TokenAgreement(opened)
        for _ in range(3):
            peer = ec.generate_private_key(ec.SECP256R1())
            assert agreement.exchange(peer.public_key()) == peer.exchange(ec.ECDH(), agreement.public_key)


@softhsm.needed
def test_a_key_that_may_not_agree_is_refused(token: SoftToken) -> None:
    with pytest.raises(UsageError, match="CKA_DERIVE"), opened_token(token.uri(";object=signs"), ask) as opened:
        TokenAgreement(opened)


@softhsm.needed
def test_the_pin_comes_from_a_file_where_the_uri_says_so(token: SoftToken, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text(f"{PIN}\n")
    for source in (f"file:{tmp_path}/pin", f"{tmp_path}/pin", f"file://{tmp_path}/pin"):
        with opened_token(f"{token.uri(';id=%01')}&pin-source={source}", lambda: None) as opened:
            assert TokenSigner(opened)


@softhsm.needed
@pytest.mark.parametrize("pin, reason", [("4321", "does not open"), ("", "there is none"), (None, "there is none")])
def test_a_wrong_pin(pin: str | None, reason: str, token: SoftToken) -> None:
    with pytest.raises(WrongPassphrase, match=reason), opened_token(token.uri(), lambda: pin):
        pass


@softhsm.needed
@pytest.mark.parametrize(
    "uri",
    [
        SoftToken.uri(";object=nothing"),
        SoftToken.uri(";object=twice"),
        SoftToken.uri(";object=rsa"),
        SoftToken.uri(),
        SoftToken.uri(path="token=other"),
        SoftToken.uri(path="serial=1"),
        SoftToken.uri(library="/nowhere.so"),
        SoftToken.uri(library=__file__),
    ],
)
def test_what_is_not_there(uri: str, token: SoftToken) -> None:
    with pytest.raises(UsageError), opened_token(uri, ask) as opened:
        TokenSigner(opened)


def test_a_uri_says_what_it_asks_for() -> None:
    found = parsed(
        "pkcs11:token=a%20b;manufacturer=m;serial=1;model=x;slot-id=7;object=%C3%BC;id=%00%ff?module-path=/a.so"
    )
    assert found == TokenURI(
        token="a b", manufacturer="m", serial="1", model="x", slot=7, object="ü", id=b"\x00\xff", module_path="/a.so"
    )


@pytest.mark.parametrize(
    "uri, reason",
    [
        ("file:/a", "begin with pkcs11"),
        ("pkcs11:token=a", "names no library"),
        ("pkcs11:token=a?module-path=", "names no library"),
        ("pkcs11:token=a;token=b?module-path=/a", "twice"),
        ("pkcs11:tokens=a?module-path=/a", "not known"),
        ("pkcs11:token=a?module-path=/a&pin-value=1234", "everyone to read"),
        ("pkcs11:type=cert?module-path=/a", "private key is needed"),
        ("pkcs11:token=%zz?module-path=/a", "cannot be read"),
        ("pkcs11:token=a b?module-path=/a", "cannot be read"),
        ("pkcs11:token=%ff?module-path=/a", "no UTF-8"),
        ("pkcs11:slot-id=x?module-path=/a", "no number"),
    ],
)
def test_uris_that_say_nothing_clear(uri: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as raised, opened_token(uri, ask):
        pass
    assert "1234" not in str(raised.value)


@softhsm.needed
def test_a_command_is_no_source_of_a_pin(token: SoftToken, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="not run"),
        opened_token(f"{token.uri()}&pin-source=|touch%20{tmp_path}/run", ask),
    ):
        pass
    assert not (tmp_path / "run").exists()
