"""What is unwise in a configuration that could be run."""

from collections.abc import Iterator

import msgspec

from garrison.serving.config.config import Config
from garrison.sources.connections import loopback


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """Something to think about before it goes live."""

    where: str
    """The setting, as in the file."""
    message: str


def advice(config: Config) -> Iterator[Advice]:
    """What may be meant, and is dangerous if it is not."""
    listen = config.listen
    for name, address in (("http", listen.http), ("grpc", listen.grpc)):
        if address and not listen.certificate and not _here(address):
            yield Advice(
                where=f"listen.{name}", message="callers' keys and inputs come unencrypted: set certificate and key"
            )
    if config.authenticate.anonymous is not None:
        roles = ", ".join(config.authenticate.anonymous.roles)
        yield Advice(where="authenticate.anonymous", message=f"anybody may do what these roles allow: {roles}")
    elif not (config.authenticate.keys or config.authenticate.issuers or config.authenticate.certificates):
        yield Advice(where="authenticate", message="there is no way to show who one is: nobody is let in")
    issuers = config.authenticate.issuers
    if sum(one.principal == "sub" for one in issuers) > 1:
        yield Advice(
            where="authenticate.issuers",
            message="callers of two issuers with the same sub are taken for one: choose another principal",
        )
    for name, room in (("authorise", config.authorise), ("admit", config.admit)):
        if room.on_failure == "open":
            yield Advice(where=f"{name}.on-failure", message="who can make it fail has switched it off")
    if not config.authorise.roles:
        yield Advice(where="authorise.roles", message="no role allows anything: every call is refused")
    for role, grants in config.authorise.roles.items():
        for number, grant in enumerate(grants, 1):
            wide = {"manage", "administer"} & set(grant.actions)
            if grant.effect == "allow" and wide:
                yield Advice(
                    where=f"authorise.roles.{role} {number}",
                    message=f"lets its callers {' and '.join(sorted(wide))}: load and unload models, change the server",
                )
    for name, backend in config.backends.items():
        for kind, address in (("http", backend.http), ("grpc", backend.grpc)):
            plain = address and not address.startswith(("https://", "unix:"))
            if plain and not _here(address) and not backend.secret_file:
                yield Advice(
                    where=f"backends.{name}.{kind}",
                    message="who reaches this address goes around the guard: use a Unix socket, TLS or secret-file",
                )
    if not config.record.signing_key:
        yield Advice(where="record.signing-key", message="the log is chained and not signed: its writer can forge it")
    if config.record.on_failure == "open":
        yield Advice(where="record.on-failure", message="answers leave that are on no record")
    for name, model in config.models.items():
        where = f"models.{name}"
        if model.schema.unchecked:
            yield Advice(
                where=f"{where}.schema.unchecked", message="whatever the protocol allows goes on to the server"
            )
        for stage in ("admit", "schema", "screen", "observe", "protect"):
            if getattr(getattr(model, stage), "on_failure", "closed") == "open":
                yield Advice(where=f"{where}.{stage}.on-failure", message="who can make it fail has switched it off")
        if model.admit.rate is None and config.admit.rate is None:
            yield Advice(where=f"{where}.admit.rate", message="a caller may ask as fast as the server answers")
        if not model.observe.reference:
            yield Advice(
                where=f"{where}.observe.reference",
                message="drift and extraction are not watched: see `garrison guard reference`",
            )


def _here(address: str) -> bool:
    if address.startswith("unix:"):
        return True
    host = address.partition("://")[2] or address
    return loopback(host.rpartition(":")[0] or host)
