"""The documents of an image: indexes, manifests and configurations, read leniently and within bounds.

Sources: OCI image specification 1.1 (`image-layout.md`, `image-index.md`, `manifest.md`, `config.md`); Docker's image
specification 1.2 and its "combined image JSON and filesystem changeset" format.
"""

import re
from collections.abc import Iterator

import msgspec

from garrison.core.errors import LimitExceeded, Malformed
from garrison.sources.reader import Reader

LONGEST = 8 << 20
"""Bytes of one document; registries take manifests of 4 MiB at most."""
MOST_LAYERS = 512
MOST_MANIFESTS = 512
_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CONFIGURATIONS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_LAYER_STARTS = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.",
)


class Descriptor(msgspec.Struct, frozen=True):
    """What a document says of a blob."""

    digest: str
    size: int = -1
    media_type: str = ""
    platform: str = ""
    title: str = ""
    """The file name that an artifact's layer had."""
    name: str = ""
    """The tag of an image in an index."""
    artifact_type: str = ""
    """What a manifest holds that is no image, as far as whoever refers to it says."""
    attestation: bool = False
    elsewhere: bool = False
    """It is to be had from another place only, as layers are that may not be passed on."""

    @property
    def encrypted(self) -> bool:
        return self.media_type.endswith("+encrypted")


class Manifest(msgspec.Struct, frozen=True):
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    artifact_type: str = ""

    @property
    def image(self) -> bool:
        """Whether it is a container image, as opposed to other things that registries hold."""
        if self.artifact_type and self.artifact_type not in _CONFIGURATIONS:
            return False
        if self.config is not None and self.config.media_type and self.config.media_type not in _CONFIGURATIONS:
            return False
        # Ollama's models have the configuration of an image, and layers of its own.
        return not self.layers or any(layer.media_type.startswith(_LAYER_STARTS) for layer in self.layers)


def read(reader: Reader, what: str) -> dict[str, object]:
    """A JSON object. Raises `Malformed`, or `LimitExceeded` where it is longer than any honest one."""
    document = read_any(reader, what)
    if not isinstance(document, dict):
        raise Malformed(f"{what} is no JSON object")
    return document


def read_any(reader: Reader, what: str) -> object:
    data = reader.pread(0, LONGEST + 1)
    if len(data) > LONGEST:
        raise LimitExceeded("buffer", f"{what} is longer than {LONGEST} bytes")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{what} is not valid JSON: {str(error)[:100]}") from None


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    return [one for one in rows(value) if isinstance(one, str)]


def is_digest(digest: str) -> bool:
    return _DIGEST.fullmatch(digest) is not None


def descriptor(value: object) -> Descriptor:
    """Raises `Malformed` where the digest is none: what names a blob must not name anything else."""
    fields = table(value)
    digest = text(fields.get("digest"))
    if not is_digest(digest):
        raise Malformed(f"{digest[:80]!r} is no digest")
    size = fields.get("size")
    annotations = table(fields.get("annotations"))
    media_type = text(fields.get("mediaType"))
    platform = _platform(table(fields.get("platform")))
    return Descriptor(
        digest=digest,
        size=size if isinstance(size, int) and size >= 0 else -1,
        media_type=media_type,
        artifact_type=text(fields.get("artifactType")),
        platform=platform,
        title=text(annotations.get("org.opencontainers.image.title"))
        or text(annotations.get("org.cnai.model.filepath")),
        name=text(annotations.get("io.containerd.image.name"))
        or text(annotations.get("org.opencontainers.image.ref.name")),
        # Engines go by the platform alone: what has one is run, whatever its annotations say.
        attestation=text(annotations.get("vnd.docker.reference.type")) == "attestation-manifest"
        and platform == "unknown/unknown",
        elsewhere=bool(texts(fields.get("urls"))) or ".foreign." in media_type or ".nondistributable." in media_type,
    )


def _platform(fields: dict[str, object]) -> str:
    parts = [text(fields.get(key)) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if part)


def index(document: dict[str, object]) -> list[Descriptor]:
    """The manifests that an index names."""
    return list(_descriptors(document.get("manifests"), "an index", MOST_MANIFESTS))


def manifest(document: dict[str, object]) -> Manifest:
    config = document.get("config")
    return Manifest(
        config=descriptor(config) if isinstance(config, dict) else None,
        layers=tuple(_descriptors(document.get("layers") or document.get("blobs"), "a manifest", MOST_LAYERS)),
        artifact_type=text(document.get("artifactType")),
    )


def _descriptors(value: object, what: str, most: int) -> Iterator[Descriptor]:
    given = rows(value)
    if len(given) > most:
        raise LimitExceeded("members", f"{what} names more than {most} blobs")
    return (descriptor(one) for one in given)
