"""The images and artifacts that an archive or a layout holds, whichever tool wrote it.

Sources: OCI image specification 1.1, `image-layout.md`; Docker's "combined image JSON and filesystem changeset" format
(`docker save`, of old with a folder a layer, later as an OCI layout with a `manifest.json` beside it).
"""

import platform
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from garrison.core.errors import ExaminationError, Malformed
from garrison.core.facts import Anomaly, AnyFact, Artifact, Examination
from garrison.dependencies.images.layer import HashingReader
from garrison.dependencies.images.members import normal
from garrison.dependencies.images.places import LAYOUT, SAVED
from garrison.dependencies.images.stack import Blob, Image, examine_artifact, examine_image
from garrison.sources.oci import documents
from garrison.sources.oci.documents import INDEXES, Descriptor, Manifest, text, texts
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source

_INDEX_DEPTH = 4
_MOST_IMAGES = 64
_MOST_STATED = 100
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class Artefact(msgspec.Struct):
    """What is stored like an image and is none."""

    name: str
    kind: str
    blobs: list[Blob]


class Archive:
    """The files of an archive or a layout, as images."""

    def __init__(self, files: Mapping[str, Reader], source: Source, context: Context) -> None:
        self._files = files
        self._source = source
        self._context = context
        self._used = {SAVED, LAYOUT, "oci-layout", "repositories"}
        self._notes: list[AnyFact | Examination] = []
        self._saved_layers: dict[str, set[tuple[str, ...]]] = {}
        """By the configuration, the layers of what `docker save` lists, so that its layout is not read again."""

    def extract(self) -> Extracted:
        """All images, each under its own name where there are several, and what belongs to none."""
        found: list[Image | Artefact] = []
        if SAVED in self._files:
            found += self._saved()
        if LAYOUT in self._files:
            found += self._layout()
        yield from self._notes
        if not found:
            yield Artifact(format="image-archive")
            yield self._omitted("(images)", "failed", "no image in it could be read")
        for item in found[:_MOST_IMAGES]:
            yield from self._contents(item, self._source.subject) if len(found) == 1 else self._apart(item)
        if len(found) > _MOST_IMAGES:
            yield self._omitted("(images)", "partial", f"more than {_MOST_IMAGES} images")
        yield from self._left_over()

    def _contents(self, item: Image | Artefact, subject: str) -> Extracted:
        if isinstance(item, Image):
            return examine_image(item, self._source, subject, self._context)
        return examine_artifact(item.blobs, item.kind, self._source, self._context)

    def _apart(self, item: Image | Artefact) -> Extracted:
        """What is learnt of one of several images, under a subject of its own."""
        subject = f"{self._source.subject}!/{item.name or 'unnamed'}"
        examination = Examination(subject=subject, formats=["container-image"])
        try:
            for one in self._contents(item, subject):
                if isinstance(one, Source | Examination):
                    yield one
                else:
                    examination.facts.append(one)
        except Malformed as error:
            examination.state, examination.reason = "partial", str(error)
        yield examination

    # docker save

    def _saved(self) -> Iterator[Image]:
        try:
            rows = documents.rows(documents.read_any(self._files[SAVED], SAVED))
        except ExaminationError as error:
            self._fail(SAVED, error)
            return
        self._used.add(SAVED)
        for row in rows[:_MOST_IMAGES]:
            fields = documents.table(row)
            if not fields:
                continue
            try:
                yield self._saved_image(fields)
            except ExaminationError as error:
                self._fail(SAVED, error)

    def _saved_image(self, fields: dict[str, object]) -> Image:
        path = text(fields.get("Config"))
        reader = self._named(path)
        config = documents.read(self._hashed(reader, path), path) if reader is not None else {}
        if reader is None:
            self._notes.append(self._absent(path, "the configuration"))
        layers: list[Blob] = []
        paths = texts(fields.get("Layers"))
        if len(paths) > documents.MOST_LAYERS:
            raise Malformed(f"{SAVED} names {len(paths)} layers")
        for layer in paths:
            digest = _digest_in(layer)
            layers.append(Blob(self._named(layer), Descriptor(digest=digest, title=layer)))
        identity = path.removesuffix(".json").rpartition("/")[2].removeprefix("sha256:")
        self._saved_layers.setdefault(identity, set()).add(tuple(blob.descriptor.digest for blob in layers))
        return Image(name=", ".join(texts(fields.get("RepoTags"))[:8]), config=config, layers=layers)

    def _named(self, path: str) -> Reader | None:
        """A file that a manifest names; never one outside the archive."""
        plain = normal(path)
        if plain is None or path.startswith("/"):
            detail = f"{SAVED} names {path[:200]!r}, outside the archive"
            self._notes.append(Anomaly(what="path-traversal", detail=detail, place=SAVED))
            return None
        self._used.add(plain)
        return self._files.get(plain)

    def _hashed(self, reader: Reader, path: str) -> Reader:
        """The same bytes, once they are known to be what a name that is a digest promises."""
        digest = _digest_in(path)
        if digest:
            self._verify(reader, digest, path)
        return reader

    def _verify(self, reader: Reader, digest: str, what: str) -> None:
        hashing = HashingReader(reader.window(0, documents.LONGEST), digest.partition(":")[0])
        hashing.finish(self._context)
        if hashing.hash.done <= reader.size and hashing.hash.digest() != digest:
            detail = f"its digest is {hashing.hash.digest()}, and its name promises {digest}"
            self._notes.append(Anomaly(what="image-mismatch", detail=detail, place=what))

    # OCI layout

    def _layout(self) -> Iterator[Image | Artefact]:
        try:
            named = documents.index(documents.read(self._files[LAYOUT], LAYOUT))
        except ExaminationError as error:
            self._fail(LAYOUT, error)
            return
        yield from self._among(named, _INDEX_DEPTH)

    def _among(self, named: Sequence[Descriptor], depth: int, name: str = "") -> Iterator[Image | Artefact]:
        """The images that descriptors name: of several platforms, one."""
        for descriptor in self._chosen(named):
            reader = self._blob(descriptor)
            label = name or descriptor.name
            what = f"the manifest {descriptor.digest}"
            if reader is None:
                self._notes.append(self._absent(descriptor.digest, "a manifest"))
                continue
            try:
                self._verify(reader, descriptor.digest, what)
                document = documents.read(reader, what)
                inner = document.get("manifests")
                if (text(document.get("mediaType")) or descriptor.media_type) in INDEXES or isinstance(inner, list):
                    if depth == 0:
                        raise Malformed("indexes are nested too deep")
                    yield from self._among(documents.index(document), depth - 1, label)
                else:
                    yield from self._one(documents.manifest(document), label)
            except ExaminationError as error:
                self._fail(descriptor.digest, error)

    def _chosen(self, named: Sequence[Descriptor]) -> list[Descriptor]:
        """Those to examine: all that name no platform, and of the others that of this machine, or the first there."""
        images = [one for one in named if not one.attestation]
        for one in named:
            if one.attestation:
                self._use(one, deep=True)
                self._notes.append(self._omitted(one.digest, "skipped", "an attestation, which is no image"))
        several: dict[str, list[Descriptor]] = {}
        for one in images:
            several.setdefault(one.name if one.platform else one.digest, []).append(one)
        found: list[Descriptor] = []
        for group in several.values():
            best = best_of([one for one in group if self._has(one)] or group)
            same = best.platform.split("/")[:2]
            for other in group:
                if other.platform.split("/")[:2] == same:
                    # Engines differ in which variant, or which of two for one platform, they take.
                    found.append(other)
                else:
                    self._use(other, deep=True)
                    reason = f"for {other.platform}; the image for {best.platform} is examined"
                    self._notes.append(self._omitted(other.digest, "skipped", reason))
        return found

    def _one(self, manifest: Manifest, name: str) -> Iterator[Image | Artefact]:
        blobs = [Blob(self._blob(layer), layer) for layer in manifest.layers]
        if not manifest.image:
            config = manifest.config.media_type if manifest.config is not None else ""
            if manifest.config is not None:
                self._use(manifest.config)
            yield Artefact(name, manifest.artifact_type or config or "unknown", blobs)
            return
        config_reader = self._blob(manifest.config) if manifest.config is not None else None
        identity = manifest.config.digest.partition(":")[2] if manifest.config is not None else ""
        if tuple(layer.digest for layer in manifest.layers) in self._saved_layers.get(identity, ()):
            return
        document: dict[str, object] = {}
        if config_reader is not None and manifest.config is not None:
            self._verify(config_reader, manifest.config.digest, "the configuration")
            try:
                document = documents.read(config_reader, "the configuration")
            except ExaminationError as error:
                self._fail("(configuration)", error)
        else:
            self._notes.append(self._absent("", "the configuration"))
        yield Image(name=name, config=document, layers=blobs)

    def _path(self, descriptor: Descriptor) -> str:
        return f"blobs/{descriptor.digest.replace(':', '/')}"

    def _has(self, descriptor: Descriptor) -> bool:
        return self._path(descriptor) in self._files

    def _blob(self, descriptor: Descriptor) -> Reader | None:
        self._use(descriptor)
        return self._files.get(self._path(descriptor))

    def _use(self, descriptor: Descriptor, deep: bool = False, depth: int = _INDEX_DEPTH) -> None:
        """Take note that a blob belongs to something, and with `deep` all that its manifest names."""
        self._used.add(self._path(descriptor))
        reader = self._files.get(self._path(descriptor)) if deep and depth else None
        if reader is None:
            return
        try:
            document = documents.read(reader, "a manifest")
            if isinstance(document.get("manifests"), list):
                for one in documents.index(document):
                    self._use(one, deep=True, depth=depth - 1)
            else:
                manifest = documents.manifest(document)
                for one in (*manifest.layers, *([manifest.config] if manifest.config is not None else ())):
                    self._use(one)
        except ExaminationError:
            return

    # coverage

    def _left_over(self) -> Iterator[Source | Examination]:
        """Files that belong to no image: engines differ in what they take, so they are examined as files."""
        left = [path for path in self._files if path not in self._used and not _of_old(path)]
        for path in left[:_MOST_STATED]:
            yield self._source.member(path, self._files[path])
        if len(left) > _MOST_STATED:
            reason = f"belong to no image that is examined: {len(left) - _MOST_STATED} more files"
            yield self._omitted("(files)", "partial", reason)

    def _omitted(self, name: str, state: str, reason: str) -> Examination:
        return Examination(subject=f"{self._source.subject}!/{name}", state=state, reason=reason)  # type: ignore[arg-type]

    def _absent(self, name: str, what: str) -> Examination:
        examination = self._omitted(name or f"({what})", "failed", f"{what} is not there")
        examination.facts.append(Anomaly(what="image-incomplete", detail=f"{what} is named, and is not there"))
        return examination

    def _fail(self, name: str, error: ExaminationError) -> None:
        examination = self._omitted(name, "failed", str(error))
        examination.facts.append(Anomaly(what="malformed", detail=str(error)))
        self._notes.append(examination)


def best_of(named: Sequence[Descriptor]) -> Descriptor:
    """Of images for several platforms that of this machine, or the first."""
    own = f"linux/{_MACHINES.get(platform.machine(), platform.machine())}"
    return next((one for one in named if one.platform == own or one.platform.startswith(f"{own}/")), named[0])


def _digest_in(path: str) -> str:
    """The digest that a path of a blob, or of a configuration of old, is named after; empty where it is not."""
    name = path.rpartition("/")[2]
    if path.startswith("blobs/sha256/"):
        name = f"sha256:{name}"
    elif name.endswith(".json") and len(name) == 69:
        name = f"sha256:{name[:-5]}"
    return name if documents.is_digest(name) else ""


def _of_old(path: str) -> bool:
    """What the archives of old hold beside each layer."""
    return path.endswith(("/VERSION", "/json"))
