"""The payload: chunks of 64 KiB, each authenticated together with its place and with whether it is the last.

Source: https://age-encryption.org/v1, section "Payload"; https://eprint.iacr.org/2015/189 (STREAM).

Some threads read, work and write by turns: reading is in order under one lock, writing in order by number, and what
lies between runs side by side. So what is sealed may be a file or a pipe of any size, and memory holds two buffers a
thread. What a thread writes has been authenticated, and so has all that was written before it; that nothing is missing
behind it is known when `unsealed` returns.
"""

import os
import threading
from collections.abc import Callable
from typing import BinaryIO

from garrison.provenance.sealing.refusals import DamagedPayload, MalformedHeader
from garrison.provenance.sealing.stanzas import derived
from garrison.provenance.sealing.writing import write_all

CHUNK = 1 << 16
TAG = 16
NONCE = 16
_CHUNKS = 16
"""Chunks a turn: 1 MiB, which is large beside a system call and small beside a processor's cache."""
_THREADS = 4
"""The most: beyond it, reading and writing in order are what takes the time."""
_LAST = b"\x01"
_MORE = b"\x00"


def sealed(source: BinaryIO, target: BinaryIO, file_key: bytes) -> None:
    """Write the payload that seals all of `source`."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    nonce = os.urandom(NONCE)
    key = derived(file_key, nonce, b"payload")
    write_all(target, nonce)

    def turn() -> "_Work":
        cipher = ChaCha20Poly1305(key)
        output = memoryview(bytearray(_CHUNKS * (CHUNK + TAG)))

        def work(number: int, data: memoryview, last: bool) -> memoryview:
            written = 0
            for index, at in enumerate(range(0, len(data), CHUNK) or [0]):
                part = data[at : at + CHUNK]
                end = written + len(part) + TAG
                final = last and at + CHUNK >= len(data)
                cipher.encrypt_into(_nonce(number * _CHUNKS + index, final), part, None, output[written:end])
                written = end
            return output[:written]

        return work

    _Turns(source, target, _CHUNKS * CHUNK, turn).run()


def unsealed(source: BinaryIO, target: BinaryIO, file_key: bytes) -> None:
    """Write what the payload seals, to the end of `source`.

    Only authenticated chunks are written, in order. Raises `DamagedPayload` at the first that is not; what was written
    before it is then a beginning of what was sealed. Raises `MalformedHeader` where there is no payload.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    nonce = source.read(NONCE)
    if len(nonce) != NONCE:
        raise MalformedHeader("it breaks off behind its header")
    key = derived(file_key, nonce, b"payload")

    def turn() -> "_Work":
        cipher = ChaCha20Poly1305(key)
        output = memoryview(bytearray(_CHUNKS * CHUNK))

        def work(number: int, data: memoryview, last: bool) -> memoryview:
            written = 0
            for index, at in enumerate(range(0, len(data), CHUNK + TAG) or [0]):
                part = data[at : at + CHUNK + TAG]
                place = number * _CHUNKS + index
                final = last and at + CHUNK + TAG >= len(data)
                if len(part) < TAG or (len(part) == TAG and place):
                    raise DamagedPayload(f"it breaks off at chunk {place + 1}")
                end = written + len(part) - TAG
                try:
                    cipher.decrypt_into(_nonce(place, final), part, None, output[written:end])
                except InvalidTag:
                    raise DamagedPayload(f"chunk {place + 1} was altered, or is not in its place or the end") from None
                written = end
            return output[:written]

        return work

    _Turns(source, target, _CHUNKS * (CHUNK + TAG), turn).run()


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (_LAST if last else _MORE)


_Work = Callable[[int, memoryview, bool], memoryview]
"""Makes of a turn's number, its bytes and whether they are the last what is to be written, in a buffer of its own."""


class _Turns:
    """Reads `size` bytes a turn, and one more that tells whether it is the last."""

    def __init__(self, source: BinaryIO, target: BinaryIO, size: int, turn: Callable[[], _Work]) -> None:
        self._source = source
        self._target = target
        self._size = size
        self._turn = turn
        self._reading = threading.Lock()
        self._next = 0
        self._carried = b""
        self._ended = False
        self._writing = threading.Condition()
        self._written = 0
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Raises what reading, working or writing raises, after all turns before it were written."""
        buffer, work = memoryview(bytearray(self._size + 1)), self._turn()
        number, length = self._read(buffer)
        if self._ended:
            write_all(self._target, work(number, buffer[:length], True))
            return
        first = threading.Thread(target=self._run, args=(buffer, work, (number, length)), daemon=True)
        count = min(max(2, os.cpu_count() or 2), _THREADS)
        threads = [first, *(threading.Thread(target=self._run, daemon=True) for _ in range(count - 1))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException as error:  # Ctrl-C: a thread that waits for a pipe is left waiting
            self._fail(error)
            raise
        if self._failure is not None:
            raise self._failure

    def _run(
        self,
        buffer: memoryview | None = None,
        work: _Work | None = None,
        begun: tuple[int, int] | None = None,
    ) -> None:
        try:
            buffer = buffer or memoryview(bytearray(self._size + 1))
            work = work or self._turn()
            while True:
                with self._reading:
                    if begun is None and (self._ended or self._failure):
                        return
                    number, length = begun or self._read(buffer)
                    last = self._ended and begun is None
                    begun = None
                try:
                    result: memoryview | Exception = work(number, buffer[:length], last)
                except Exception as error:
                    result = error
                with self._writing:
                    while self._written != number and not self._failure:
                        self._writing.wait()
                    if self._failure:
                        return
                if isinstance(result, Exception):
                    raise result
                write_all(self._target, result)
                with self._writing:
                    self._written += 1
                    self._writing.notify_all()
        except BaseException as error:
            self._fail(error)

    def _read(self, buffer: memoryview) -> tuple[int, int]:
        """The number of the turn and its length in bytes."""
        filled = len(self._carried)
        buffer[:filled] = self._carried
        while filled < len(buffer):
            count = self._source.readinto(buffer[filled:])  # type: ignore[attr-defined]
            if not count:
                self._ended = True
                break
            filled += count
        if not self._ended:
            filled -= 1
            self._carried = bytes(buffer[filled:])
        self._next += 1
        return self._next - 1, filled

    def _fail(self, error: BaseException) -> None:
        with self._writing:
            self._failure = self._failure or error
            self._writing.notify_all()
