"""A guard that answers as fast as it can, saying on standard output which calls it has answered, until it is killed."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, cast

from garrison.serving.calls import Action, Answer, Call, Peer
from garrison.serving.config.config import Config, Model
from garrison.serving.guard import Guard
from garrison.serving.record.audit import Audit
from garrison.serving.record.settings import Record
from garrison.serving.services import Services

if TYPE_CHECKING:
    from garrison.serving.state.store import Store


async def server(call: Call) -> Answer:
    await asyncio.sleep(0)
    return Answer(200, b"{}")


async def caller(guard: Guard) -> None:
    while True:
        call = Call(Action.INFER, transport="http", headers={}, peer=Peer("127.0.0.1"), model="digits", body=b"x" * 100)
        answer = await guard.answer(call, server)
        assert answer.status == 200
        os.write(1, f"{call.identifier}\n".encode())


async def run(directory: str, key: str, durability: str) -> None:
    record = Record(
        directory=directory,
        signing_key=key,
        durability=durability,  # type: ignore[arg-type]
        checkpoint_records=50,
        segment_bytes=1 << 16,
    )
    config = Config(record=record, models={"digits": Model()})
    services = Services(store=cast("Store", None), report=lambda incident: None, noticed=lambda call, mark: None)
    audit = Audit(config, services)
    audit.start()
    guard = Guard(config.models, lambda model: [], audit.recorder(config), audit.failure)
    await asyncio.gather(*(caller(guard) for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
