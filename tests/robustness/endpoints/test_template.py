"""Templates: what is read is sent, and what is answered is found."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.robustness.endpoints.endpoint import endpoint
from garrison.robustness.endpoints.template import ALL, ONE, Template, Templated, at, filled, png, read, steps
from garrison.robustness.endpoints.transport import EndpointError
from tests.robustness.endpoints import server as faults
from tests.robustness.endpoints.server import Handler, Server

SAMPLE = np.random.default_rng(0).random((4, 4), np.float32)
WRITTEN = """
url = "https://models.example/classify?v=1"
answer = "results[*].scores"
encoding = "png"
names = ["cat", "dog"]

[headers]
Authorization = "Bearer ${MODELS_TOKEN}"

[body]
images = "{{inputs}}"
options = { explain = false }
"""


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(WRITTEN)
    template = read(str(tmp_path / "t.toml"))
    (tmp_path / "t.json").write_bytes(msgspec.json.encode(template))
    assert read(str(tmp_path / "t.json")) == template
    assert template.body == {"images": ALL, "options": {"explain": False}}
    assert not template.single


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("url = 3\nbody = 'x'", "Expected `str`"),
        ("body = '{{input}}'", "missing required field `url`"),
        ("url = 'http://a/'\nbody = 'x'", "0 times"),
        ("url = 'http://a/'\nbody = ['{{input}}', '{{inputs}}']", "2 times"),
        ("url = 'http://a/'\nbody = '{{input}}'\nanswers = 'x'", "unknown field `answers`"),
        ("url = 'http://a/'\nbody = '{{input}}'\nanswer = 'x[-1]'", "no path"),
        ("url = 'http://a/'\nbody = '{{input}}'\nbatch = 0", "one input at least"),
        ("url = ", "Invalid value"),
        ("\x00", "t.toml"),
    ],
)
def test_a_file_that_is_no_template_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        read(str(tmp_path / "t.toml"))


KEYS = st.text(st.characters(exclude_characters='".[]', exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda key: not key.startswith("$")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5).filter(lambda text: text not in (ALL, ONE)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(KEYS | st.integers(0, 3), min_size=1, max_size=5), VALUES, st.lists(st.floats(0, 1), min_size=1))
def test_what_is_put_in_a_body_stands_at_its_path(path: list[str | int], other: Any, inputs: list[float]) -> None:
    body: Any = ALL
    for step in reversed(path):
        body = [other] * step + [body] if isinstance(step, int) else {"other." + step: other, step: body}
    written = "".join(f"[{step}]" if isinstance(step, int) else f'["{step}"]' for step in path)
    sent = json.loads(json.dumps(filled(body, inputs)))
    assert steps(written) == tuple(path)
    assert at(sent, steps(written)) == inputs
    assert at(sent, steps("$" + written)) == inputs


@given(st.lists(KEYS, min_size=1, max_size=4))
def test_keys_stand_with_dots_between(keys: list[str]) -> None:
    assert steps(".".join(keys)) == tuple(keys)


@given(st.lists(VALUES, max_size=4))
def test_each_element_of_a_list_is_taken(values: list[Any]) -> None:
    assert at({"rows": [{"s": value} for value in values]}, steps("rows[*].s")) == values


@pytest.mark.parametrize("path", ["rows", "rows[0].x", "other[1]", "other[*].y", "[0]", "[*]", "other[0].x.y"])
def test_a_place_that_is_not_there_is_said(path: str) -> None:
    with pytest.raises(EndpointError, match="the answer has no"):
        at({"other": [{"x": 1}]}, steps(path))


def test_variables_of_the_environment_go_into_headers_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    template = Template(url="http://a/b?key=1", body=ALL, headers={"X": "a ${GARRISON_TEST_KEY}"})
    with pytest.raises(UsageError, match="no variable GARRISON_TEST_KEY"):
        template.expanded()
    monkeypatch.setenv("GARRISON_TEST_KEY", "s3cret")
    assert template.expanded() == ({"X": "a s3cret"}, ("s3cret",))
    assert "s3cret" not in str(Templated(template, 0, 1).described)
    other = Template(url="http://a/b?key=1", body={"x": ALL}, headers=template.headers)
    assert Templated(template, 0, 1).described != Templated(other, 0, 1).described


@given(st.sampled_from([1, 3, 4]), st.integers(1, 6), st.integers(1, 6), st.integers(0, 9))
def test_pictures_survive_to_8_bits(channels: int, height: int, width: int, seed: int) -> None:
    import PIL.Image

    image = np.random.default_rng(seed).uniform(-1, 1, (channels, height, width)).astype(np.float32)
    with PIL.Image.open(io.BytesIO(base64.b64decode(png(image, -1, 1)))) as opened:
        again = np.asarray(opened, np.float32).reshape(height, width, channels).transpose(2, 0, 1)
    np.testing.assert_allclose(again / 255 * 2 - 1, image, atol=1 / 255 + 1e-6)


def test_what_is_no_picture_is_said() -> None:
    with pytest.raises(UsageError, match="no pictures"):
        png(np.zeros((2, 4, 4), np.float32), 0, 1)


def answering(make: Any) -> faults.Fault:
    def fault(handler: Handler) -> bool:
        document = handler.server.requests[-1][2]
        handler.reply(make(document))
        return True

    return fault


@pytest.mark.parametrize(
    ("body", "answer", "make", "names"),
    [
        ({"x": ALL}, "r[*].s", lambda d: {"r": [{"s": row} for row in scores(d["x"])]}, ()),
        ({"x": ONE}, "s", lambda d: {"s": scores([d["x"]])[0]}, ()),
        (ALL, "", lambda d: [dict(zip("abc", row, strict=True)) for row in scores(d)], "abc"),
        (ALL, "[*]", lambda d: [[{"label": n, "score": s} for n, s in zip("cba", row[::-1], strict=True)]
                                for row in scores(d)], "abc"),
    ],
)  # fmt: skip
def test_an_api_of_any_form_is_a_classifier(body: Any, answer: str, make: Any, names: Any, server: Server) -> None:
    server.faults = [answering(make)] * 20
    template = Template(url=f"{server.address}/classify?v=2", body=body, answer=answer, names=tuple(names), batch=3)
    import torch

    classifier = endpoint(template, SAMPLE, classes=3)
    found = classifier.scores(torch.from_numpy(SAMPLE)).numpy()
    np.testing.assert_allclose(found, faults.logits(SAMPLE), atol=1e-5)
    assert server.requests[0][0] == "/classify?v=2"
    assert len(server.requests) == (8 if body == {"x": ONE} else 4)


def scores(inputs: Any) -> list[list[float]]:
    rows: list[list[float]] = faults.logits(np.array(inputs)).tolist()
    return rows


def test_decisions_by_name_are_numbered(server: Server) -> None:
    server.faults = [answering(lambda d: {"label": "abc"[int(faults.decisions(np.array([d]))[0])]})] * 4
    classifier = endpoint(
        Template(url=server.address, body=ONE, answer="label", names=("a", "b", "c")), SAMPLE, classes=3
    )
    assert classifier.outputs == "labels"


def test_a_class_that_nobody_named_is_said(server: Server) -> None:
    server.faults = [answering(lambda _: {"label": "zebra"})]
    with pytest.raises(EndpointError, match="names the class 'zebra', which is none"):
        endpoint(Template(url=server.address, body=ONE, answer="label", names=("a", "b")), SAMPLE, classes=2)
