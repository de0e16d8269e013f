"""The guard in front of an ASGI application of the same process."""

import asyncio
from typing import Any

from garrison.serving.calls import Answer, Call, Forward
from garrison.serving.http.app import Application
from garrison.serving.http.headers import to_caller, to_server
from garrison.serving.http.routes import STREAMING
from garrison.serving.refusals import Reason, Refused


def forward_to(app: Application, *, most_bytes: int = 64 << 20) -> Forward:
    """Asks an application: it sees the path and body that the guard has read, and the headers that a server may see.

    `most_bytes` bounds an answer.
    """

    async def forward(call: Call) -> Answer:
        return await _Exchange(call, most_bytes).run(app)

    return forward


class _Exchange:
    def __init__(self, call: Call, most_bytes: int) -> None:
        self._call = call
        self._most_bytes = most_bytes
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._sent = False
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(16)
        self._body: list[bytes] = []
        self._size = 0
        self._streaming = call.operation in STREAMING
        self._begun: asyncio.Event = asyncio.Event()
        self._over: asyncio.Event = asyncio.Event()

    def _scope(self) -> dict[str, Any]:
        call = self._call
        lines = to_server(call.headers, call.identifier, call.trace).split("\r\n")[:-1]
        headers = [(name.encode(), value.encode()) for name, _, value in (line.partition(": ") for line in lines)]
        headers.append((b"host", b"localhost"))
        if call.method == "POST":
            headers.append((b"content-length", b"%d" % len(call.body)))
        return {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": call.method, "scheme": "http", "path": call.target, "raw_path": call.target.encode(),
            "query_string": b"", "root_path": "", "headers": headers, "client": None, "server": None, "state": {},
        }  # fmt: skip

    async def run(self, app: Application) -> Answer:
        working = asyncio.ensure_future(app(self._scope(), self._receive, self._send))
        working.add_done_callback(lambda _: self._begun.set())
        try:
            if self._streaming:
                await self._begun.wait()
                if self._status == 200:
                    return Answer(200, headers=to_caller(self._headers), stream=_Parts(working, self._parts))
            await working
        except asyncio.CancelledError:
            working.cancel()
            raise
        except Refused:
            raise
        except Exception as error:
            raise Refused(Reason.BACKEND, "the model server failed") from error
        if not self._over.is_set():
            raise Refused(Reason.BACKEND, "the model server did not answer")
        return Answer(self._status, b"".join(self._body), to_caller(self._headers))

    async def _receive(self) -> dict[str, Any]:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": self._call.body, "more_body": False}
        # The caller's leaving cancels the application.
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            if not 200 <= status < 600 or 300 <= status < 400:
                raise Refused(Reason.BACKEND, "the model server's answer cannot be passed on")
            self._headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            if any(name == b"content-encoding" for name, _ in self._headers):
                raise Refused(Reason.BACKEND, "the model server's answer cannot be read")
            self._status = status
            if self._streaming:
                self._begun.set()
        elif message["type"] == "http.response.body" and not self._over.is_set():
            part = message.get("body", b"")
            more = message.get("more_body", False)
            if self._streaming and self._status == 200:
                if part:
                    await self._parts.put(part)
                if not more:
                    self._over.set()
                    await self._parts.put(None)
                return
            self._size += len(part)
            if self._size > self._most_bytes:
                raise Refused(Reason.BACKEND, "the model server's answer is too large")
            self._body.append(part)
            if not more:
                self._over.set()


class _Parts:
    """The body of an answer as the application sends it. Closing it stops the application."""

    def __init__(self, working: "asyncio.Future[None]", parts: "asyncio.Queue[bytes | None]") -> None:
        self._working = working
        self._parts = parts

    def __aiter__(self) -> "_Parts":
        return self

    async def __anext__(self) -> bytes:
        coming = asyncio.ensure_future(self._parts.get())
        try:
            await asyncio.wait((coming, self._working), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done() and not self._parts.empty():
                await coming
            if not coming.done():
                raise Refused(Reason.BACKEND, "the model server failed")
            part = coming.result()
        finally:
            coming.cancel()
        if part is None:
            raise StopAsyncIteration
        return part

    async def aclose(self) -> None:
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)
