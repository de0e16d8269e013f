"""Asks a package index about many names at once, and remembers what it said."""

import contextlib
import functools
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from garrison.core.errors import Malformed
from garrison.dependencies.index.address import Address, chosen
from garrison.dependencies.index.cache import Cache, Entry
from garrison.dependencies.index.errors import Unavailable
from garrison.dependencies.index.project import Project, from_json, normalised

if TYPE_CHECKING:
    from garrison.dependencies.index.metadata import Metadata
    from garrison.dependencies.index.project import Release
    from garrison.dependencies.index.transport import Answer, Transport

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_JSON = ("application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json", "application/json")
_PAGE_BYTES = 64 << 20
_THREADS = 8
_SECONDS = 300
_LIFETIME = 600
"""As PyPI allows, for an index that says nothing of it."""
_LONGEST_LIFETIME = 86400
_GIVE_UP_AFTER = 3
"""Names in a row that got no answer, and none that got one: the rest will get none either."""


class Known(msgspec.Struct, frozen=True):
    """What an index said of a name, or why it said nothing."""

    project: Project | None
    """`None` where the index does not know the name, or did not answer."""
    asked: float = 0.0
    """When it was asked, in seconds since 1970."""
    problem: str = ""
    """Why it did not answer; what it said before is given all the same, if it is known."""


class Index:
    """A client of one index's simple API.

    `url` is an index, empty for the one that pip is configured with. `online=False` answers from the cache alone.
    """

    def __init__(
        self,
        url: str = "",
        *,
        online: bool = True,
        threads: int = _THREADS,
        seconds: float = _SECONDS,
        cache: str | None = None,
    ) -> None:
        self.address: Address = chosen(url)
        self._until = time.monotonic() + seconds
        self._seconds = seconds
        self._online = online
        self._threads = threads
        self._cache = Cache(self.address.url, cache)
        self._known: dict[str, Known] = {}
        self._metadata: dict[tuple[str, str], Metadata | None] = {}
        self._silent = 0
        self._heard = False
        self._reason = ""

    @functools.cached_property
    def transport(self) -> "Transport":
        from garrison.dependencies.index.transport import Transport

        return Transport(self.address, deadline=lambda: self._until)

    def project(self, name: str) -> Project | None:
        """What the index knows of a name; `None` where it knows no such name.

        Raises `Unavailable` when it does not answer and no earlier answer is known.
        """
        found = self.projects([name])[name]
        if found.project is None and found.problem:
            raise Unavailable(found.problem)
        return found.project

    def projects(self, names: Iterable[str]) -> dict[str, Known]:
        """The same for many names, several at a time; never takes longer than the client's `seconds`."""
        wanted = {name: normalised(name) for name in names}
        missing = list(dict.fromkeys(one for one in wanted.values() if one not in self._known))
        if missing:
            self._ask_all(missing)
        return {name: self._known[one] for name, one in wanted.items()}

    def _ask_all(self, names: Sequence[str]) -> None:
        found = self._in_parallel(self._ask, names) if self._online else {}
        unknown = self._late if self._online else "it was not asked"
        for name in names:
            self._known[name] = found.get(name) or self._remembered(name, unknown)

    @property
    def _late(self) -> str:
        return f"it did not answer within {self._seconds:g} s"

    def requirements(self, releases: Iterable[tuple[str, "Release"]]) -> "dict[tuple[str, str], Metadata | None]":
        """What releases of projects ask for, by name and version, several at a time; `None` where nothing tells.

        No package's code is run: what only building it would tell stays unknown.
        """
        wanted = {(name, release.version): release for name, release in releases}
        missing = [key for key in wanted if key not in self._metadata]
        found = self._in_parallel(lambda key: self._requirements(wanted[key]), missing) if self._online else {}
        self._metadata.update({key: found.get(key) for key in missing})
        return {key: self._metadata[key] for key in wanted}

    def _requirements(self, release: "Release") -> "Metadata | None":
        from garrison.dependencies.index.metadata import fetched, parsed

        # A release's wheels ask for the same: those for any platform stand for all.
        wheels = sorted((one for one in release.files if one.wheel), key=lambda one: not one.name.endswith("-any.whl"))
        for file in wheels[:1]:
            text = self._cache.text(file.sha256)
            if text is None:
                text = fetched(self.transport, file)
                if text is not None:
                    self._cache.keep(file.sha256, text)
            if text is not None:
                return parsed(text)
        return None

    def _in_parallel(self, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> dict[_Item, _Result]:
        """The results of `work` that are there when the client's time is up; it does not raise."""
        pending = deque(items)
        found: dict[_Item, _Result] = {}
        finished = threading.Semaphore(0)

        def loop() -> None:
            try:
                while pending:
                    item = pending.popleft()
                    with contextlib.suppress(Unavailable, Malformed):
                        found[item] = work(item)
            except IndexError:  # another thread took the last one
                pass
            finally:
                finished.release()

        _ = self.transport  # made here, and not by each thread
        # Daemons: a name server that hangs must not keep the process.
        workers = [threading.Thread(target=loop, daemon=True) for _ in range(min(self._threads, len(items)))]
        for worker in workers:
            worker.start()
        for _ in workers:
            if not finished.acquire(timeout=max(0.0, self._until - time.monotonic())):
                pending.clear()
                self.transport.close()
                break
        return dict(found)

    def _remembered(self, name: str, problem: str) -> Known:
        entry = self._cache.read(name)
        return Known(entry.project, entry.asked, problem) if entry else Known(None, 0.0, problem)

    def _ask(self, name: str) -> Known:
        entry = self._cache.read(name)
        now = time.time()
        if entry is not None and 0 <= now - entry.asked < entry.lifetime:
            return Known(entry.project, entry.asked)
        if self._silent >= _GIVE_UP_AFTER and not self._heard:
            return self._remembered(name, self._reason)
        try:
            answer = self._fetch(name, entry)
            fresh = self._read(name, answer, entry)
        except (Unavailable, Malformed) as error:
            self._silent += 1
            # One reason for all that the end of the client's time breaks off, whichever thread sees it first.
            self._reason = self._late if time.monotonic() >= self._until else str(error)
            return self._remembered(name, self._reason)
        except Exception as error:
            return self._remembered(name, f"its answer could not be read: {type(error).__name__}")
        self._heard = True
        self._cache.write(fresh)
        return Known(fresh.project, fresh.asked)

    def _fetch(self, name: str, entry: Entry | None) -> "Answer":
        headers = {"Accept": _ACCEPT}
        if entry is not None and entry.etag:
            headers["If-None-Match"] = entry.etag
        elif entry is not None and entry.modified:
            headers["If-Modified-Since"] = entry.modified
        return self.transport.get(f"{self.address.url}{urllib.parse.quote(name)}/", headers, _PAGE_BYTES)

    def _read(self, name: str, answer: "Answer", entry: Entry | None) -> Entry:
        lifetime = _lifetime(answer.headers.get("cache-control", ""))
        if answer.status == 304 and entry is not None:
            return msgspec.structs.replace(entry, asked=time.time(), lifetime=lifetime)
        project: Project | None = None
        if answer.status == 200:
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            project = _page(name, kind, answer)
        elif answer.status not in (404, 410):
            raise Unavailable(_refusal(answer.status))
        return Entry(
            name=name,
            project=project,
            asked=time.time(),
            lifetime=lifetime,
            etag=answer.headers.get("etag", ""),
            modified=answer.headers.get("last-modified", ""),
        )


def _page(name: str, kind: str, answer: "Answer") -> Project:
    if kind in _JSON:
        return from_json(name, answer.url, answer.body)
    from garrison.dependencies.index.html_page import from_html

    return from_html(name, answer.url, answer.body)


def _refusal(status: int) -> str:
    if status in (401, 403, 407):
        return f"it wants other credentials (status {status}); put them into netrc or the index's address"
    return f"it answered with status {status}"


def _lifetime(control: str) -> int:
    """Seconds for which an answer need not be asked for again."""
    for part in control.lower().split(","):
        name, _, value = part.strip().partition("=")
        if name in ("no-cache", "no-store"):
            return 0
        if name == "max-age" and value.isdecimal():
            return min(int(value), _LONGEST_LIFETIME)
    return _LIFETIME
