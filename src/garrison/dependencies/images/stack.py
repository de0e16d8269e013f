"""One image from its top layer to its lowest, and artifacts that are stored like images."""

from collections.abc import Iterator

import msgspec

from garrison.core.errors import ExaminationError, LimitExceeded, Malformed
from garrison.core.facts import Anomaly, AnyFact, Artifact, Examination
from garrison.dependencies.images import configuration
from garrison.dependencies.images.layer import HashingReader, Layer
from garrison.dependencies.images.members import Tree
from garrison.sources.containers.names import name_anomalies
from garrison.sources.containers.tar import is_tar
from garrison.sources.oci.documents import Descriptor, table, texts
from garrison.sources.reader import Reader
from garrison.sources.source import Context, Extracted, Source


class Blob(msgspec.Struct):
    """A layer or another blob, with what is promised of it."""

    reader: Reader | None
    """`None` where it is not there."""
    descriptor: Descriptor
    diff_id: str = ""
    """The digest that the configuration states for the unpacked layer."""


class Image(msgspec.Struct):
    name: str
    config: dict[str, object]
    layers: list[Blob]
    """From the lowest to the top."""


def examine_image(image: Image, source: Source, subject: str, context: Context) -> Extracted:
    """What an image is configured to do, and the files that a container of it has."""
    total = len(image.layers)
    tree = Tree(source, subject, total, context)
    yield from configuration.settings(image.config, source, context)
    promised = texts(table(image.config.get("rootfs")).get("diff_ids"))
    if promised and len(promised) != total:
        detail = f"the configuration speaks of {len(promised)} layers, and the manifest names {total}"
        yield Anomaly(what="image-mismatch", detail=detail)
    elif promised:
        for blob, digest in zip(image.layers, promised, strict=True):
            blob.diff_id = digest
    size = 0
    for number in range(total, 0, -1):
        blob = image.layers[number - 1]
        size += blob.reader.size if blob.reader is not None else 0
        yield from _layer(blob, number, tree, f"{subject}!/layer {number}", context)
    yield from tree.finish()
    counts = tree.counts
    details: dict[str, str | int | float | bool] = {"layers": total, "packed bytes": size}
    details |= {"files": counts.files, "hidden files": counts.hidden, "bytes": counts.bytes}
    if image.name:
        details["name"] = image.name
    yield Artifact(format="container-image", details=details | configuration.details(image.config))


def _layer(
    blob: Blob, number: int, tree: Tree, subject: str, context: Context
) -> Iterator[AnyFact | Source | Examination]:
    place = f"layer {number}"
    told = blob.descriptor
    if blob.reader is None:
        yield _absent(told, subject)
        return
    algorithm = told.digest.partition(":")[0] or "sha256"
    layer = Layer(blob.reader, context, algorithm)
    head = layer.reader.pread(0, 512)
    if head.strip(b"\0") and not is_tar(head):
        # By its bytes, since engines that go by them unpack what is only called encrypted.
        reason = f"no layer that garrison knows ({told.media_type or 'no media type'})"
        if told.encrypted:
            reason = "it is encrypted"
        yield Examination(subject=subject, size=blob.reader.size, state="not-understood", reason=reason)
        return
    broken: ExaminationError | None = None
    try:
        yield from tree.read(layer, number)
    except ExaminationError as error:
        broken = error
        if isinstance(error, LimitExceeded) and error.limit in ("seconds", "unpacked", "ratio"):
            raise
    try:
        layer.finish()
    except Malformed as error:
        broken = error
    if broken is not None:
        what = "resource-limit" if isinstance(broken, LimitExceeded) else "malformed"
        yield Examination(
            subject=subject,
            size=blob.reader.size,
            formats=["tar"],
            facts=[Anomaly(what=what, detail=f"{place}: {broken}")],
            state="partial",
            reason=str(broken),
        )
    yield from _verified(layer, blob, place)


def _absent(told: Descriptor, subject: str) -> Examination:
    if told.elsewhere:
        return Examination(subject=subject, state="failed", reason="to be had from another place only; not fetched")
    detail = f"{told.digest or told.title} is named, and is not there"
    fact = Anomaly(what="image-incomplete", detail=detail)
    return Examination(subject=subject, facts=[fact], state="failed", reason="it is not there")


def _verified(layer: Layer, blob: Blob, place: str) -> Iterator[AnyFact]:
    """What the digests promise, held against what was read."""
    told = blob.descriptor
    if told.size >= 0 and layer.bytes_read != told.size:
        yield _mismatch(f"it has {layer.bytes_read} bytes, and the manifest promises {told.size}", place)
    if told.digest and layer.digest != told.digest:
        yield _mismatch(f"its digest is {layer.digest}, and the manifest promises {told.digest}", place)
    if blob.diff_id and layer.unpacked_digest != blob.diff_id:
        detail = f"unpacked its digest is {layer.unpacked_digest}, and the configuration promises {blob.diff_id}"
        yield _mismatch(detail, place)


def _mismatch(detail: str, place: str) -> Anomaly:
    return Anomaly(what="image-mismatch", detail=detail, place=place)


def examine_artifact(blobs: list[Blob], kind: str, source: Source, context: Context) -> Extracted:
    """The files of what is stored like an image and is none: a model, a chart, a signature."""
    yield Artifact(format="oci-artifact", details={"type": kind, "files": len(blobs)})
    for number, blob in enumerate(blobs, 1):
        told = blob.descriptor
        name = told.title or f"blob {number}"
        yield from name_anomalies(name)
        subject = f"{source.subject}!/{name}"
        if blob.reader is None:
            yield _absent(told, subject)
        elif told.encrypted:
            yield Examination(subject=subject, size=blob.reader.size, state="not-understood", reason="it is encrypted")
        else:
            reader = HashingReader(blob.reader, told.digest.partition(":")[0])
            yield source.member(name, reader)
            reader.finish(context)
            if reader.hash.digest() != told.digest:
                detail = f"its digest is {reader.hash.digest()}, and the manifest promises {told.digest}"
                yield _mismatch(detail, name)
