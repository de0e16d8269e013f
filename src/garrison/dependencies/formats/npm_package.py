"""`package.json` of npm packages, as they lie in `node_modules` and in what `npm pack` makes.

Source: npm documentation, "package.json" and "scripts".
"""

from typing import Any

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact, EmbeddedCode, Package
from garrison.dependencies.package_places import npm_package
from garrison.dependencies.purl import InvalidPackageURL, purl
from garrison.sources.source import Context, Extracted, Source

_AT_INSTALL = ("preinstall", "install", "postinstall")
_PREPARING = ("preprepare", "prepare", "postprepare")
"""Scripts that `npm install` runs only in a project's own folder, and for packages from Git."""
_EXCERPT = 400


def sniff(source: Source) -> bool:
    """A document of this name with an object in it, which must have a name or what npm acts on."""
    head = source.reader.pread(0, 1 << 16)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
        return False
    return any(f'"{key}"'.encode() in head for key in ("name", "dependencies", "devDependencies", "scripts"))


def extract(source: Source, context: Context) -> Extracted:
    """The package, and the commands that installing it runs."""
    import msgspec

    try:
        document = msgspec.json.decode(source.reader.whole(context.limits.buffer).removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"not valid JSON: {error}") from None
    if not isinstance(document, dict):
        return
    yield Artifact(format="npm-package")
    state = npm_package(source.subject)
    name, version = document.get("name"), document.get("version")
    if state is not None and isinstance(name, str) and isinstance(version, str) and name and version:
        try:
            address = purl("npm", name, version)
        except InvalidPackageURL as error:
            raise Malformed(str(error)) from None
        yield Package(
            purl=address,
            ecosystem="npm",
            name=name,
            version=version,
            state=state,
            licences=tuple(_licences(document)),
            dependencies=tuple(_names(document, "dependencies", "optionalDependencies")),
        )
    scripts = document.get("scripts")
    for stage in _AT_INSTALL + (_PREPARING if state is None else ()):
        command = scripts.get(stage) if isinstance(scripts, dict) else None
        if isinstance(command, str) and command.strip():
            yield EmbeddedCode(
                language="shell",
                form=f"npm {stage} script",
                trigger="carried",
                excerpt=command[:_EXCERPT],
                place=f"scripts.{stage}",
            )


def _licences(document: dict[str, Any]) -> dict[str, None]:
    """An expression; in old packages an object, or a list of them."""
    stated = [document.get("license"), *_list(document.get("licenses"))]
    told = [one.get("type") if isinstance(one, dict) else one for one in stated]
    return {one[:200]: None for one in told if isinstance(one, str) and one.strip()}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _names(document: dict[str, Any], *keys: str) -> dict[str, None]:
    return {str(name): None for key in keys if isinstance(document.get(key), dict) for name in document[key]}
