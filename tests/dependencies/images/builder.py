"""Builds small images byte by byte: layers, `docker save` archives of old and new, OCI layouts."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zstandard

Content = bytes | str | tarfile.TarInfo
"""Bytes of a file, `-> target` of a symbolic link, `=> target` of a hard link, `dir`, or a header."""

OCI = "application/vnd.oci.image."
GZIP = OCI + "layer.v1.tar+gzip"
ZSTD = OCI + "layer.v1.tar+zstd"
PLAIN = OCI + "layer.v1.tar"


def tar(files: Mapping[str, Content] | Sequence[tuple[str, Content]], modes: Mapping[str, int] | None = None) -> bytes:
    """A tar archive; with a list, a name can be there twice."""
    out = io.BytesIO()
    items = files.items() if isinstance(files, Mapping) else files
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in items:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            info.mode = (modes or {}).get(name, 0o644)
            data = b""
            if isinstance(content, bytes):
                data = content
                info.size = len(data)
            elif content == "dir":
                info.type = tarfile.DIRTYPE
                info.mode = (modes or {}).get(name, 0o755)
            elif isinstance(content, str):
                info.type = tarfile.SYMTYPE if content.startswith("->") else tarfile.LNKTYPE
                info.linkname = content[3:]
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def pack(layer: bytes, media_type: str) -> bytes:
    if media_type.endswith("gzip"):
        return gzip.compress(layer, mtime=0)
    if media_type.endswith("zstd"):
        return zstandard.compress(layer)
    return layer


def configuration(layers: Sequence[bytes], **changes: Any) -> bytes:
    document: dict[str, Any] = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"User": "1000"},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        "history": [],
    }
    return json.dumps(document | changes).encode()


def saved(layers: Sequence[bytes], *, change: Callable[[list[Any]], None] | None = None, **config: Any) -> bytes:
    """What `docker save` wrote for years: a folder a layer."""
    document = configuration(layers, **config)
    name = f"{digest(document)[7:]}.json"
    files: list[tuple[str, Content]] = []
    paths = []
    for layer in layers:
        identity = digest(b"id" + layer)[7:]
        files += [(f"{identity}/", "dir"), (f"{identity}/VERSION", b"1.0"), (f"{identity}/layer.tar", layer)]
        paths.append(f"{identity}/layer.tar")
    manifest = [{"Config": name, "RepoTags": ["team/model:1"], "Layers": paths}]
    if change is not None:
        change(manifest)
    files += [(name, document), ("manifest.json", json.dumps(manifest).encode())]
    return tar(files)


def blob(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


def layout(
    layers: Sequence[bytes],
    media_types: Sequence[str] | None = None,
    *,
    change: Callable[[dict[str, Any]], None] | None = None,
    replace: Mapping[str, bytes] | None = None,
    more: Sequence[tuple[dict[str, Any], dict[str, bytes]]] = (),
    **config: Any,
) -> dict[str, bytes]:
    """The files of an OCI layout; `more` are further descriptors in its index, with their blobs."""
    types = media_types or [GZIP] * len(layers)
    packed = [pack(layer, kind) for layer, kind in zip(layers, types, strict=True)]
    document = configuration(layers, **config)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI + "manifest.v1+json",
        "config": blob(document, OCI + "config.v1+json"),
        "layers": [blob(data, kind) for data, kind in zip(packed, types, strict=True)],
    }
    if change is not None:
        change(manifest)
    return index([(manifest, [document, *packed]), *()], more, replace)


def index(
    manifests: Sequence[tuple[dict[str, Any], Sequence[bytes]]],
    more: Sequence[tuple[dict[str, Any], dict[str, bytes]]] = (),
    replace: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    descriptors = []
    for manifest, blobs in manifests:
        data = json.dumps(manifest).encode()
        descriptors.append(blob(data, manifest["mediaType"]))
        for one in (data, *blobs):
            files[f"blobs/sha256/{digest(one)[7:]}"] = one
    for descriptor, blobs_by_path in more:
        descriptors.append(descriptor)
        files |= blobs_by_path
    for path, data in (replace or {}).items():
        files[path] = data
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": descriptors}).encode()
    return files


def archive(files: Mapping[str, bytes]) -> bytes:
    return tar(files)
