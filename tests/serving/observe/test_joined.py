"""Calls that are looked at together come to what each by itself comes to."""

from pathlib import Path

import numpy as np

from garrison.serving.config.config import Config, Model
from garrison.serving.observe.settings import Feedback, Observe
from garrison.serving.observe.stage import ObserveStage, stage
from tests.serving.observe.world import World, asked, natural, tensor


def made(world: World, directory: Path) -> ObserveStage:
    model = Model(observe=Observe(reference=str(directory), rows_per_call=8, feedback=Feedback(enabled=True)))
    found = stage(Config(models={"m": model}), model, world.services)
    assert found is not None
    return found


def test_joined_calls_come_to_what_single_ones_do(directory: Path) -> None:
    apart, together = made(World(), directory), made(World(), directory)
    sizes = [1, 1, 3, 1, 20, 1, 2, 8, 9, 1, 1, 1]
    for guarded in (apart, together):
        rows = natural(sum(sizes), 7)
        for number, size in enumerate(sizes):
            call, answer = asked(rows[:size], ("ann", "bob")[number % 2])
            call.identifier = f"call-{number}"
            rows = rows[size:]
            if number == 5:
                answer.outputs = (tensor("scores", np.zeros((size, 5))),)
            if number == 9:
                call.inputs = (tensor("x", np.zeros((size, 3), np.float32)),)
            guarded.after(call, answer)
            if guarded is apart:
                guarded.watch.drain()
        guarded.watch.drain()
    one, other = apart.snapshot(), together.snapshot()
    for part in ("calls", "rows", "skipped_rows", "unread"):
        assert one[part] == other[part]
    assert one["inputs"]["rows"] == other["inputs"]["rows"] == 35
    assert one["outputs"]["rows"] == other["outputs"]["rows"]
    accounts = [
        [(each["principal"], each["queries"], each["fresh"]) for each in snapshot["principals"]]
        for snapshot in (one, other)
    ]
    assert accounts[0] == accounts[1]
    for guarded in (apart, together):
        assert guarded.watch._memory is not None and len(guarded.watch._memory) == len(sizes)
    kept = [[guarded.watch._memory.get(f"call-{n}") for n in range(len(sizes))] for guarded in (apart, together)]  # type: ignore[union-attr]
    for first, second in zip(*kept, strict=True):
        assert first is not None and second is not None
        assert first.principal == second.principal and first.decisions.tolist() == second.decisions.tolist()
