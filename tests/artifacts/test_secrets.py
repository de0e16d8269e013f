"""Credentials are found by their shapes, and hashes, vocabularies and placeholders are not taken for them.

No credential stands in this file: each is put together, with its checksum, when the tests run.
"""

import base64
import json
import random
import string
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.artifacts.secrets import find, shapes
from tests.support import facts_of, findings_of, worst

DICE = random.Random(7)
LETTERS = string.ascii_letters
ALPHANUMERIC = string.ascii_letters + string.digits


def some(count: int, alphabet: str = ALPHANUMERIC) -> str:
    return "".join(DICE.choices(alphabet, k=count))


def checked(prefix: str) -> str:
    """A token whose last six characters are its checksum, as GitHub and npm make them."""
    body, digits, alphabet = some(30), "", string.digits + string.ascii_uppercase + string.ascii_lowercase
    value = zlib.crc32(body.encode())
    while value:
        value, digit = divmod(value, 62)
        digits = alphabet[digit] + digits
    return f"{prefix}_{body}{digits.rjust(6, '0')}"


def pem(kind: str = "RSA ", body: bytes = b"\x30\x82\x04\xa4\x02\x01\x00") -> str:
    text = base64.b64encode(body + DICE.randbytes(600)).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----\n"


def jwt() -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "17", "name": "somebody"})
    text = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*text, some(43)])


CREDENTIALS = {
    "a GitHub token": checked("ghp"),
    "a GitHub fine-grained token": f"github_pat_{some(22)}_{some(59)}",
    "an npm token": checked("npm"),
    "a GitLab token": "glpat-" + some(20),
    "a Hugging Face token": "hf_" + some(34, LETTERS),
    "a Hugging Face organisation token": "api_org_" + some(34, LETTERS),
    "an OpenAI key": "sk-proj-" + some(40) + "T3Blbk" + "FJ" + some(40),
    "an Anthropic key": "sk-ant-" + "api03-" + some(95),
    "a Groq key": "gsk_" + some(52),
    "a Replicate token": "r8_" + some(37),
    "a Perplexity key": "pplx-" + some(48),
    "an NVIDIA API key": "nvapi-" + some(64),
    "a LangSmith key": f"lsv2_pt_{some(32, '0123456789abcdef')}_{some(10, '0123456789abcdef')}",
    "a Databricks token": "dapi" + some(32, "0123456789abcdef"),
    "a Weights & Biases key": "WANDB_API_KEY=" + some(40, "0123456789abcdef"),
    "an AWS access key id": "AKIA" + some(16, string.ascii_uppercase + "234567"),
    "an AWS secret access key": "aws_secret_access_key = " + some(40),
    "a Google API key": "AIza" + some(35),
    "a Google OAuth client secret": "GOCSPX-" + some(28),
    "an Azure storage key": "AccountName=x;AccountKey=" + base64.b64encode(DICE.randbytes(64)).decode() + ";",
    "a Slack token": f"xoxb-{some(12, string.digits)}-{some(12, string.digits)}-{some(24)}",
    "a Slack webhook": f"https://hooks.slack.com/services/T{some(9, 'ABCDEF023')}/B{some(9, 'ABCDEF023')}/{some(24)}",
    "a Stripe live key": "sk_" + "live_" + some(32),
    "a PyPI token": "pypi-AgEIcHlwaS5vcmc" + some(120),
    "a SendGrid key": f"SG.{some(22)}.{some(43)}",
    "a DigitalOcean token": "dop_v1_" + some(64, "0123456789abcdef"),
    "a HashiCorp Vault token": "hvs." + some(95),
    "a private key": pem(),
    "a bearer token (JWT)": f"Authorization: Bearer {jwt()}",
    "a database's password": f"postgresql+psycopg2://app:{some(14)}@db.prod.acme.io:5432/models",
    "a password in an address": f"--extra-index-url https://ci:{some(20)}@pypi.acme.io/simple",
    "a container registry's password": json.dumps(
        {"auths": {"registry.acme.io": {"auth": base64.b64encode(f"ci:{some(20)}".encode()).decode()}}}
    ),
}


def kinds(text: str) -> list[str]:
    return [fact.what for fact in find(text.encode())]


def test_every_kind_is_tested() -> None:
    assert {shape.what for shape in shapes()} == set(CREDENTIALS)
    assert all(shape.reason and shape.reference.startswith("https://") for shape in shapes())


@pytest.mark.parametrize("what", CREDENTIALS)
def test_found_in_any_text_and_never_shown_whole(what: str) -> None:
    secret = CREDENTIALS[what]
    written = [
        f"# notes\n{secret}\n",
        f'key = "{secret}"\n',
        json.dumps({"cells": [{"source": [f"x = '{secret}'\n"]}]}),
    ]
    for text in written:
        facts = list(find(text.encode()))
        assert [fact.what for fact in facts] == [what], text
        value = secret.split("=")[-1].split(" ")[-1]
        assert value not in facts[0].masked


def test_where_it_stands_and_how_bad_it_is() -> None:
    document = json.dumps({"name": "model", "token": CREDENTIALS["a Hugging Face token"]}, indent=1).encode()
    found = [item for item in findings_of(document, "config.json") if item.rule == "secret"]
    assert [(item.place, item.severity) for item in found] == [("line 3", "high")]
    doubtful = f"google_key: {CREDENTIALS['a Google API key']}\n".encode()
    assert worst(findings_of(doubtful, "app.yaml")) == "medium"
    assert worst(findings_of(document, "tests/data/config.json")) == "low"


@pytest.mark.parametrize("name", ["a.txt", ".env", "a.py", "a.yaml", "run.sh", "Dockerfile"])
def test_all_kinds_of_text_are_searched(name: str) -> None:
    text = f"#!/bin/sh\nexport HF_TOKEN={CREDENTIALS['a Hugging Face token']}\n" if name == "run.sh" else ""
    text = text or f"import os\ntoken = '{CREDENTIALS['a Hugging Face token']}'\n"
    assert "secret" in {item.rule for item in findings_of(text.encode(), name)}


@pytest.mark.parametrize(
    "text",
    [
        "ghp_" + some(36),
        "npm_" + some(36),
        "AKIA" + "IOSFODNN7EXAMPLE",
        "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "hf_" + "x" * 34,
        "hf_" + "YourTokenGoesHereAndNowhereElseabc",
        "hf_transformer_layers_and_more_names_xx",
        "sk-ant-api03-<your key>",
        "OPENAI_API_KEY=${OPENAI_API_KEY}",
        "mysql://scott:tiger@192.168.0.134/test",
        "postgresql://user:password@db.acme.io/x postgresql://a:b3x9q@localhost/x redis://x:y9z8w7@cache/0",
        "mysql://{user}:{password}@{host}/db https://user:<password>@pypi.acme.io/ https://user:$TOKEN@acme.io",
        "https://example.com/a:b@c https://me:secretvalue@example.com/x",
        "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----",
        pem("", b"\x01\x02\x03\x04"),
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
        '{"auth": "' + base64.b64encode(b"just:short").decode() + '"}',
        "--hash=sha256:" + some(64, "0123456789abcdef"),
        "commit " + some(40, "0123456789abcdef"),
        "integrity sha512-" + base64.b64encode(DICE.randbytes(64)).decode(),
        "dapi" + "0123456789abcdef" * 2,
        "a JWT looks like eyJhbGciOi.eyJzdWIi.SflKxwRJ",
    ],
)
def test_what_only_resembles_a_credential(text: str) -> None:
    assert kinds(text) == []


def test_vocabularies_are_fast_and_silent() -> None:
    words = [some(DICE.randint(2, 9)) for _ in range(150_000)]
    words += ["hf_", "ghp_", "AKIA", "eyJ", "sk-", "https://", "AIza", "npm_", "glpat-"]
    data = json.dumps({"model": {"vocab": {word: number for number, word in enumerate(words)}}}).encode()
    started = time.process_time()
    assert list(find(data)) == []
    assert time.process_time() - started < 2


@given(st.binary(max_size=300))
def test_any_bytes_are_searched_without_failing(data: bytes) -> None:
    list(find(b'eyJ AKIA PRIVATE KEY----- "auths" "auth": "' + data + b'" postgres://a:' + data + b"@b.c"))


def test_hostile_repetition_ends_soon() -> None:
    for text in (b"-----BEGIN PRIVATE KEY-----\n" * 20_000, b"token=eyJ" * 100_000, b"https://a:" * 100_000):
        started = time.process_time()
        list(find(text))
        assert time.process_time() - started < 3, text[:20]


def test_binaries_are_not_searched() -> None:
    token = CREDENTIALS["a Hugging Face token"].encode()
    assert not any(fact.__class__.__name__ == "Secret" for fact in facts_of(b"\x93NUMPY\0\1" + bytes(40) + token))
