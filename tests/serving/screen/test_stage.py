"""Inputs are looked at as configured: refused, recorded, looked at afterwards, or sent to another model."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Answer, Call, Mark, Peer
from garrison.serving.config.config import Config, Model
from garrison.serving.refusals import Reason, Refused
from garrison.serving.schema.settings import Schema
from garrison.serving.screen.settings import DetectorUse, Screen, TextUse
from garrison.serving.screen.stage import ScreenStage, stage
from garrison.serving.services import Services
from garrison.serving.tensors.tensor import Tensor


class Unused:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def services(noticed: list[Mark] | None = None) -> Services:
    def note(call: Call, mark: Mark) -> None:
        if noticed is not None:
            noticed.append(mark)

    return Services(store=Unused(), report=lambda incident: None, noticed=note)


def texts(*elements: str, model: str = "reviews") -> Call:
    data = np.array([text.encode() for text in elements], object)
    return called(Tensor("text", "BYTES", (len(elements),), data, {}), model=model)


def called(*tensors: Tensor, model: str = "digits") -> Call:
    call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model=model)
    call.inputs = tensors
    return call


def made(screen: Screen, noticed: list[Mark] | None = None, others: Sequence[str] = ()) -> ScreenStage:
    models = {"model": Model(screen=screen, schema=ANYTHING), **{name: Model() for name in others}}
    found = stage(Config(models=models), models["model"], services(noticed))
    assert found is not None
    return found


def passed(found: ScreenStage, call: Call) -> Call:
    async def run() -> None:
        try:
            waiting = found.before(call)
            if waiting is not None:
                await waiting
            found.after(call, Answer(200))
        finally:
            await asyncio.get_running_loop().run_in_executor(None, found.close)
            if found._threads:
                await asyncio.get_running_loop().run_in_executor(None, found._threads.shutdown)

    asyncio.run(run())
    return call


ANYTHING = Schema(unchecked=True)
CARD = "my card is 4111 1111 1111 1111"
TOKEN = "use ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"


def test_personal_data_is_refused_without_being_repeated() -> None:
    with pytest.raises(Refused) as refused:
        passed(made(Screen(personal_data=TextUse(reaction="block"))), texts("fine", CARD))
    assert refused.value.reason is Reason.UNACCEPTABLE
    assert refused.value.mark == Mark(rule="personal-data-in-input", message="text: the number of a payment card")
    assert "4111" not in refused.value.message


def test_credentials_are_marked_by_default() -> None:
    call = passed(made(Screen()), texts(TOKEN))
    assert [mark.rule for mark in call.marks] == ["secret-in-input"]
    assert "wWPw5k4aXc" not in call.marks[0].message


def test_what_holds_neither_passes() -> None:
    found = made(Screen(personal_data=TextUse(reaction="block"), secrets=TextUse(reaction="block")))
    assert passed(found, texts("the film was good", "1234")).marks == []


def test_shadows_are_looked_at_after_the_answer() -> None:
    noticed: list[Mark] = []
    call = passed(made(Screen(personal_data=TextUse(reaction="shadow")), noticed), texts(CARD))
    assert call.marks == []
    assert [mark.rule for mark in noticed] == ["personal-data-in-input"]


def test_another_model_answers() -> None:
    screen = Screen(personal_data=TextUse(reaction="fallback"), fallback="careful")
    call = passed(made(screen, others=["careful"]), texts(CARD))
    assert (call.model, call.requested) == ("careful", "reviews")
    assert [mark.rule for mark in call.marks] == ["personal-data-in-input"]


def test_more_text_than_is_looked_at_does_not_pass_unseen() -> None:
    with pytest.raises(Refused):
        passed(made(Screen(personal_data=TextUse(reaction="block"))), texts("x" * (1 << 20), CARD))


def test_texts_that_are_no_unicode_are_looked_at_all_the_same() -> None:
    call = called(Tensor("t", "BYTES", (1,), np.array([b"\xff\xfe a@b.org \xff"], object), {}))
    assert len(passed(made(Screen(personal_data=TextUse(reaction="flag"))), call).marks) == 1


def test_what_is_not_asked_of_the_model_is_not_looked_at() -> None:
    call = texts(CARD)
    call.action = Action.METADATA
    assert passed(made(Screen(personal_data=TextUse(reaction="block"))), call).marks == []


@pytest.mark.parametrize(
    "screen, said",
    [
        (Screen(personal_data=TextUse(reaction="fallback")), r"screen\.fallback: no model named ''"),
        (Screen(personal_data=TextUse(reaction="flag", kinds=("x",))), "no kind of personal data named 'x'"),
        (Screen(detectors={"d": DetectorUse(directory="/none")}), r"screen\.detectors\.d: .*No such file"),
    ],
)
def test_what_cannot_be_done_is_said(screen: Screen, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made(screen)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fitted to the digits of scikit-learn, values from 0 to 1."""
    import torch
    from sklearn.datasets import load_digits

    from garrison.robustness.classifier import Classifier
    from garrison.robustness.data import Data
    from garrison.robustness.detection.energy import Energy
    from garrison.robustness.detection.storing import Origin, store

    digits = load_digits()
    inputs = (digits.data / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(torch.from_numpy(inputs)), torch.from_numpy(digits.target)).backward()
        optimizer.step()
    data = Data(inputs, digits.target, "image", name="digits")
    found = Energy().fit(Classifier(network.eval(), 10, 0.0, 1.0), data)
    found.calibrate(inputs[:400], 0.02)
    path = tmp_path_factory.mktemp("detectors") / "energy"
    store(found, str(path), inputs[:10], Origin("digits", "digits", "a" * 64))
    return path


def row(value: float, shape: tuple[int, ...] = (1, 64)) -> Tensor:
    return Tensor("image", "FP32", shape, np.full(shape, value, np.float32), {})


@pytest.mark.parametrize("shape", [(1, 64), (64,), (1, 1, 8, 8), (3, 64)])
def test_foreign_inputs_are_flagged_in_whatever_shape_they_come(detector: Path, shape: tuple[int, ...]) -> None:
    found = made(Screen(detectors={"energy": DetectorUse(directory=str(detector))}))
    call = passed(found, called(row(np.nan, shape)))
    assert [mark.rule for mark in call.marks] == ["adversarial-input"]
    rows = shape[0] if shape == (3, 64) else 1
    assert call.marks[0].message == f"energy: {rows} of {rows} rows"


def test_benign_inputs_pass_but_for_the_share_that_was_agreed_on(detector: Path) -> None:
    from sklearn.datasets import load_digits

    images = (load_digits().data / 16).astype(np.float32)
    found = stage(
        config := Config(
            models={"m": Model(schema=ANYTHING, screen=Screen(detectors={"e": DetectorUse(directory=str(detector))}))}
        ),
        config.models["m"],
        services(),
    )
    assert found is not None
    flagged = 0
    for image in images[:300]:
        call = called(Tensor("image", "FP32", (1, 64), image[None], {}))
        waiting = found.before(call)
        flagged += len(call.marks)
        if waiting is not None:
            asyncio.run(waiting)  # type: ignore[arg-type]
    found.close()
    assert flagged < 0.06 * 300


@pytest.mark.parametrize(
    "tensors",
    [
        (row(0, (1, 63)),),
        (row(0), row(0)),
        (row(0, (300, 64)),),
        (Tensor("t", "BYTES", (1,), np.array([b""], object), {}),),
    ],
)
def test_what_the_detector_cannot_take_is_flagged(detector: Path, tensors: tuple[Tensor, ...]) -> None:
    found = made(Screen(detectors={"energy": DetectorUse(directory=str(detector), reaction="block")}))
    with pytest.raises(Refused) as refused:
        passed(found, called(*tensors))
    assert "energy" not in refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        "\uff14\uff11\uff11\uff11 \uff11\uff11\uff11\uff11 \uff11\uff11\uff11\uff11 \uff11\uff11\uff11\uff11",
        "\u0664" + "\u0661" * 15,
        "4111\u200b1111\u200b1111\u200b1111",
        "4111\u20111111\u20111111\u20111111",
        "a\u00adnn@exam\u200dple.com",
        "ann\uff20example\uff0ecom",
        "\u06634111111111111111",
    ],
)
def test_what_only_looks_different_is_told_all_the_same(text: str) -> None:
    found = made(Screen(personal_data=TextUse(reaction="block")))
    with pytest.raises(Refused):
        passed(found, texts(text))


def test_a_credential_with_what_is_not_seen_in_it_is_told() -> None:
    found = made(Screen(secrets=TextUse(reaction="block")))
    for text in (TOKEN, TOKEN[:20] + "\u200b" + TOKEN[20:]):
        with pytest.raises(Refused):
            passed(found, texts(text))


def test_long_texts_are_looked_at_beside_the_loop() -> None:
    async def run() -> None:
        found = made(Screen(personal_data=TextUse(reaction="block")))
        assert found.before(texts("short")) is None
        waiting = found.before(texts("long " * 10_000 + "ann@example.com"))
        assert waiting is not None
        with pytest.raises(Refused):
            await waiting
        found.close()

    asyncio.run(run())
