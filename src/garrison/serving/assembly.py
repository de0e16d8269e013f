"""Puts a guard together: the stages of every model, what asks the servers, and what goes on beside the calls."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from garrison.core.errors import UsageError
from garrison.core.registry import load
from garrison.serving.admit.breaker import Breakers
from garrison.serving.authenticate.stage import AuthenticateStage
from garrison.serving.calls import Answer, Call, Forward
from garrison.serving.config.config import Config
from garrison.serving.guard import Guard
from garrison.serving.http import gateway as http_gateway
from garrison.serving.http.backends import Backends
from garrison.serving.http.plain import served
from garrison.serving.http.pool import Pool
from garrison.serving.metrics.exposition import Reading
from garrison.serving.metrics.traces import Tracer
from garrison.serving.observe.jobs.periodic import Job, Periodic
from garrison.serving.observe.stage import ObserveStage
from garrison.serving.record.audit import check as check_record
from garrison.serving.records import Tracing
from garrison.serving.refusals import Reason, Refused
from garrison.serving.screen.stage import ScreenStage
from garrison.serving.services import Services
from garrison.serving.stages import OnFailure, Recorder, Stage
from garrison.serving.state.memory import MemoryStore
from garrison.serving.tensors.codecs import CODECS

Failed = Callable[[str, BaseException], None]

with open(os.path.join(os.path.dirname(__file__), "stages.json"), "rb") as _file:
    _FACTORIES = msgspec.json.decode(_file.read(), type=tuple[str, ...])
_SHARED = ("garrison.serving.authenticate.stage:stage", "garrison.serving.authorise.stage:stage")
"""Stages that are the same for all models, and have state: keys, tokens that were seen."""
_LOOK = 10.0
"""Seconds between looks at whether issuers' keys are due."""


def stages_of(config: Config, services: Services) -> dict[str, list[Stage]]:
    """The stages of every model, by its name, in their order; those of calls without a model by the empty name.

    Raises `UsageError` for what cannot be, with the model that it is of.
    """
    shared = {factory: load(factory)(config, None, services) for factory in _SHARED}
    found: dict[str, list[Stage]] = {}
    for name, model in [("", None), *config.models.items()]:
        stages = []
        for factory in _FACTORIES:
            try:
                made = shared[factory] if factory in shared else load(factory)(config, model, services)
            except UsageError as error:
                text = str(error)
                where = f"models.{name}"
                raise UsageError(text if model is None or text.startswith(where) else f"{where}.{text}") from None
            if made is not None:
                stages.append(made)
        found[name] = stages
    return found


class Assembled:
    """What one configuration makes. Used from one loop; `start` it, and `stop` it when calls have another."""

    def __init__(
        self,
        config: Config,
        services: Services,
        recorder: Recorder,
        failed: Failed,
        *,
        tracer: Tracer | None = None,
        forward: Forward | None = None,
    ) -> None:
        """`forward` asks in place of the configured servers, where the guard is inside one. Raises `UsageError`."""
        self.config = config
        self._services = services
        self._failed = failed
        _check_backends(config, inside=forward is not None)
        self.stages = stages_of(config, services)
        if tracer is not None:
            for stages in self.stages.values():
                stages.insert(0, Tracing(tracer))
        self.guard = Guard(
            config.models,
            lambda model: self.stages[next((n for n, one in config.models.items() if one is model), "")],
            recorder,
            failed,
        )
        pools = {name: Pool(one) for name, one in config.backends.items() if one.http}
        self._backends = Backends(pools)
        self._breakers = Breakers(services)
        self.forward = forward or self._breakers.around(self._backends)
        routes, codecs = served(config.models)
        self.http = http_gateway.Gateway(
            self.guard,
            self.forward,
            codecs={**CODECS, **codecs},
            handlers={"feedback": self._feedback},
            routes=routes,
            listen=config.listen,
            max_bodies={name: model.admit.max_body for name, model in config.models.items()},
        )
        self._grpc_forward: Any = None
        self._periodic: Periodic | None = None

    def grpc(self) -> Any:
        """The gateway of gRPC. Made inside the loop that uses it. Raises `UsageError`."""
        from garrison.serving.grpc.forward import GrpcForward
        from garrison.serving.grpc.gateway import Gateway

        self._grpc_forward = GrpcForward(self.config.backends)
        return Gateway(
            self.guard,
            self._breakers.around(self._grpc_forward),
            listen=self.config.listen,
            max_bodies={name: model.admit.max_body for name, model in self.config.models.items()},
        )

    def start(self) -> None:
        """Begin what goes on beside the calls, in the running loop. Raises `UsageError`."""
        for stage in self.observers():
            stage.start(self._failed)
        self._periodic = Periodic(self._jobs(), self._failed)
        self._periodic.start()

    def take_over(self, old: "Assembled") -> None:
        """Go on with what another configuration's parts know: what was watched, and issuers' keys. Raises
        `UsageError`."""
        before = {stage.model: stage.watch for stage in old.observers()}
        for stage in self.observers():
            if stage.model in before:
                stage.watch.take_over(before[stage.model])
        for mine, theirs in zip(self._all(AuthenticateStage), old._all(AuthenticateStage), strict=False):
            if mine.tokens is not None and theirs.tokens is not None:
                mine.tokens.take_over(theirs.tokens)

    async def rest(self, *, keep: bool = True) -> None:
        """End what goes on beside the calls and keep what it knows; calls that have begun go on.

        Without `keep` nothing is written: for what ends before it had calls.
        """
        if self._periodic is not None:
            await self._periodic.stop()
        for stage in self.observers():
            try:
                await stage.stop(keep=keep)
            except UsageError as error:
                self._failed("observe", error)

    async def close(self) -> None:
        """Let go of the servers, when no calls are left."""
        for stage in self._all(ScreenStage):
            stage.close()
        await self._backends.close()
        if self._grpc_forward is not None:
            await self._grpc_forward.close()

    def observers(self) -> list[ObserveStage]:
        """Those who watch, one for each model that is watched."""
        return list(self._all(ObserveStage))

    def readings(self) -> Iterable[Reading]:
        """What metrics show of how things stand at the moment."""
        for name, stages in self.stages.items():
            for stage in stages:
                if isinstance(stage, ObserveStage):
                    yield from _readings(name, stage.snapshot())
                elif isinstance(stage, ScreenStage):
                    yield Reading(
                        "screen_passed_over", stage.passed_over, {"model": name}, "Calls not looked at.", total=True
                    )

    def _all(self, kind: type[Any]) -> Iterator[Any]:
        seen: set[int] = set()
        for stages in self.stages.values():
            for stage in stages:
                if isinstance(stage, kind) and id(stage) not in seen:
                    seen.add(id(stage))
                    yield stage

    def _jobs(self) -> list[Job]:
        jobs: list[Job] = []
        for name in self.config.models:
            watcher = next((one for one in self.stages[name] if isinstance(one, ObserveStage)), None)
            if watcher is None:
                continue
            jobs += watcher.jobs(self.forward, CODECS["v2"])
        for stage in self._all(AuthenticateStage):
            if stage.tokens is not None:
                for keys in stage.tokens.key_sets:
                    jobs.append(Job(name="issuer's keys", interval=_LOOK, run=_renewing(keys)))
        return jobs

    async def _feedback(self, call: Call) -> Answer:
        for stage in self.stages.get(call.model, ()):
            if isinstance(stage, ObserveStage):
                return stage.feedback(call)
        raise Refused(Reason.UNKNOWN, "this model takes no labels")


def _renewing(keys: Any) -> Any:
    async def run() -> None:
        if keys.due():
            await keys.refresh()

    return run


def _check_backends(config: Config, *, inside: bool) -> None:
    if inside:
        return
    if not config.backends:
        raise UsageError("no [backends.default] says where the model server is")
    for name, model in config.models.items():
        if model.backend not in config.backends:
            raise UsageError(f"models.{name}.backend: no backend named {model.backend!r} is configured")
    for name, backend in config.backends.items():
        if not backend.http and not backend.grpc:
            raise UsageError(f"backends.{name}: has neither an address for http nor one for grpc")
    if config.listen.grpc and not any(backend.grpc for backend in config.backends.values()):
        raise UsageError("listen.grpc: no backend has an address for grpc")


def _readings(model: str, snapshot: Mapping[str, Any]) -> Iterator[Reading]:
    yield Reading("watched_rows", snapshot["rows"], {"model": model}, "Rows that were looked at.", total=True)
    yield Reading("skipped_rows", snapshot["skipped_rows"], {"model": model}, "Rows not looked at.", total=True)
    for part in ("inputs", "outputs"):
        statistics = (snapshot.get(part) or {}).get("statistics")
        if statistics:
            worst = max(statistics.values())
            yield Reading("drift_ratio", worst, {"model": model, "part": part}, "Statistic over its limit.")
    accuracy = (snapshot.get("feedback") or {}).get("accuracy")
    if accuracy is not None:
        yield Reading("accuracy_ratio", accuracy, {"model": model}, "By labels that came later.")


def check(config: Config) -> None:
    """Raise `UsageError` for a configuration that could not run. Nothing is opened for writing, and nobody is asked."""
    from garrison.serving.http.server import Server

    class _Unused:
        on_failure: OnFailure = "closed"

        def record(self, call: Call, answer: Answer, refused: str) -> None:
            raise AssertionError

    services = Services(store=MemoryStore(1), report=lambda incident: None, noticed=lambda call, mark: None)
    check_record(config.record)
    assembled = Assembled(config, services, _Unused(), lambda name, error: None)
    if config.listen.http:
        Server(http_gateway.Current(assembled.http), config.listen)
    for stage in assembled._all(ScreenStage):
        stage.close()
