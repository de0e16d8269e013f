"""What an image's configuration says: its user, ports, variables, commands, labels, and how it was built.

Source: OCI image specification 1.1, `config.md`.
"""

import re
from collections.abc import Iterator

import msgspec.structs

from garrison.core.facts import Secret, Setting
from garrison.core.registry import load, registration
from garrison.sources.oci.documents import rows, table, text, texts
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Source

_ORIGIN = "image configuration"
_LONGEST = 2000
"""Characters of one value that are kept."""
_MOST = 512
_LINE = re.compile(r"line (\d+)")


def details(config: dict[str, object]) -> dict[str, str | int | float | bool]:
    """What goes into the inventory beside the image's name."""
    found: dict[str, str | int | float | bool] = {}
    for key in ("os", "architecture", "variant", "created", "author"):
        if value := text(config.get(key)):
            found[key] = value[:200]
    return found


def settings(config: dict[str, object], source: Source, context: Context) -> Iterator[Setting | Secret]:
    """The settings, and the credentials in variables and in the commands that built the image."""
    lines = list(_lines(config))[:_MOST]
    secrets = _secrets([value for _, value in lines], source, context)
    for number, fact in secrets:
        yield msgspec.structs.replace(fact, place=_place(lines[number][0]))
    telling = {number for number, _ in secrets}
    inner = table(config.get("config"))
    user = text(inner.get("User"))
    yield Setting(topic="image-user", name="User", state="value" if user else "absent", value=user, origin=_ORIGIN)
    for port in list(table(inner.get("ExposedPorts")))[:_MOST]:
        yield Setting(topic="exposed-port", name=port[:_LONGEST], origin=_ORIGIN)
    for key in list(table(inner.get("Volumes")))[:_MOST]:
        yield Setting(topic="image-volume", name=key[:_LONGEST], origin=_ORIGIN)
    for key, label in list(table(inner.get("Labels")).items())[:_MOST]:
        yield Setting(topic="image-label", name=key[:200], value=text(label)[:_LONGEST], origin=_ORIGIN)
    created = text(config.get("created"))
    if created:
        yield Setting(topic="image-created", name="created", value=created[:100], origin=_ORIGIN)
    for number, (setting, value) in enumerate(lines):
        if setting.topic == "image-variable":
            yield setting
        elif number in telling:
            yield msgspec.structs.replace(setting, value="(holds a credential)")
        else:
            yield msgspec.structs.replace(setting, value=value[:_LONGEST])


def _lines(config: dict[str, object]) -> Iterator[tuple[Setting, str]]:
    """Variables and commands, each as a setting without its value, and the value in one line."""
    inner = table(config.get("config"))
    for variable in texts(inner.get("Env")):
        name, _, value = variable.partition("=")
        told = f"{len(value)} characters" if value else ""
        yield Setting(topic="image-variable", name=name[:200], value=told, origin=_ORIGIN), _one_line(variable)
    for key in ("Entrypoint", "Cmd", "Shell"):
        if words := texts(inner.get(key)):
            yield Setting(topic="image-command", name=key, origin=_ORIGIN), _one_line(" ".join(words))
    if probe := texts(table(inner.get("Healthcheck")).get("Test")):
        yield Setting(topic="image-command", name="Healthcheck", origin=_ORIGIN), _one_line(" ".join(probe))
    for number, step in enumerate(rows(config.get("history")), 1):
        if command := text(table(step).get("created_by")):
            yield Setting(topic="image-history", name=f"step {number}", origin=_ORIGIN), _one_line(command)


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _place(setting: Setting) -> str:
    kind = {"image-variable": "variable", "image-history": "history,"}.get(setting.topic, "")
    return f"{kind} {setting.name}".strip()


def _secrets(lines: list[str], source: Source, context: Context) -> list[tuple[int, Secret]]:
    """Credentials, each with the number of its line."""
    found: list[tuple[int, Secret]] = []
    everything = source.member("(configuration)", BytesReader("\n".join(lines).encode("utf-8", "replace")))
    for search in registration().searches:
        for fact in load(search)(everything, context):
            if type(fact) is Secret and (match := _LINE.fullmatch(fact.place)):
                found.append((min(int(match[1]), len(lines)) - 1, fact))
    return found
