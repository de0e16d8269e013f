"""`garrison.load`: a model of a file, if scan, signature and policy agree on the very bytes that are loaded."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from garrison.artifacts.loading.admission import Admitted, Options, guarding, refusal
from garrison.artifacts.loading.refusal import LoadRefused
from garrison.artifacts.loading.table import has_loader, loaded_format, loader
from garrison.core.errors import UsageError
from garrison.core.limits import Limits
from garrison.core.policy import Policy
from garrison.core.registry import formats
from garrison.core.registry import load as function
from garrison.scanning import scan_files
from garrison.sources.paths import File, Omitted, display, walk
from garrison.sources.private_copy import PrivateCopy, PrivateFolder
from garrison.sources.reader import FileReader
from garrison.sources.source import Context, Source

if TYPE_CHECKING:
    from garrison.provenance.trust import Trust


def load(
    path: "str | os.PathLike[str]",
    policy: Policy | None = None,
    *,
    trust: "Trust | None" = None,
    signature: "str | os.PathLike[str] | None" = None,
    device: str = "cpu",
) -> object:
    """Load a model after all that stands between a file and a process agreed on it.

    1. The file is copied to where nobody else can change it; from here on only the copy counts.
    2. Where the policy has `identities`, or `trust` says whose signatures count, one of them must have signed the copy:
       by `signature`, else by the file's own (`FILE.sig`), else as a file of a signed directory around it.
    3. The copy is scanned. What is unknown (medium) refuses it, and what could not be examined to its end, whatever
       `policy` says of scans; allow your own classes with `allowed_globals`.
    4. The copy is loaded by the format's own framework, with nothing resolved but what the scan saw: pickles through
       an unpickler with a list of names, Keras in safe mode, skops with a list of types.

    Pickle, joblib, NumPy, PyTorch, safetensors, skops, ONNX, Keras, XGBoost and LightGBM are loaded, compressed (gzip,
    bzip2, xz, zstd, lz4, zlib) or not. What comes back is what the framework's loader gives; of an `.npz` a dictionary
    of all arrays. PyTorch's tensors go to `device`.

    Raises `LoadRefused`, which says why in one line and has the scan's `report`, and `UsageError` for a path that is
    no file that can be read. What the framework raises for a damaged file passes through.
    """
    return _load(path, policy, trust, signature, device, identify=False).model


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model with what it was loaded from."""

    model: object
    format: str
    """The format by which it was loaded, as `garrison scan` names it."""
    sha256: str
    """Of the very bytes that were examined, in hexadecimal; of the file as it is, before anything is unpacked."""


def load_identified(
    path: "str | os.PathLike[str]",
    policy: Policy | None = None,
    *,
    trust: "Trust | None" = None,
    signature: "str | os.PathLike[str] | None" = None,
    device: str = "cpu",
) -> Loaded:
    """What `load` loads, with the format and the digest of the bytes. Raises as `load` does."""
    return _load(path, policy, trust, signature, device, identify=True)


def _load(
    path: "str | os.PathLike[str]",
    policy: Policy | None,
    trust: "Trust | None",
    signature: "str | os.PathLike[str] | None",
    device: str,
    *,
    identify: bool,
) -> Loaded:
    """Hashes the copy only for who wants to `identify` it: of large models that takes longer than their scan."""
    policy = guarding(policy or Policy())
    name = os.fspath(path)
    if os.path.isdir(name):
        raise UsageError(f"{name}: a directory, of which garrison.admitted holds a copy for the loader that takes one")
    with contextlib.ExitStack() as stack:
        if trust is None and not policy.identities and signature is None:
            copy = stack.enter_context(PrivateCopy.of(name))
        else:
            copy = stack.enter_context(PrivateCopy.of(name, in_memory=False))  # hashing wants a path of its own
            _verify(copy, name, policy, trust, signature)
        report = scan_files([File(name, display(name), copy.descriptor)], policy, [name])
        if reason := refusal(report):
            raise LoadRefused(reason, report)
        admitted = Admitted(report, display(name))
        digest = _sha256(copy) if identify else ""
        while (inner := _unpacked(copy, admitted, policy.limits)) is not None:
            copy, admitted = stack.enter_context(inner[0]), inner[1]
        load_model = loader(admitted)
        return Loaded(load_model(copy, admitted, Options(device=device)), loaded_format(admitted), digest)


def _sha256(copy: PrivateCopy) -> str:
    digest = hashlib.sha256()
    with copy.open() as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def admitted(
    path: "str | os.PathLike[str]",
    policy: Policy | None = None,
    *,
    trust: "Trust | None" = None,
    signature: "str | os.PathLike[str] | None" = None,
) -> Iterator[str]:
    """A private copy of a file or a directory, for whichever loader takes a path, while the context lasts.

        with garrison.admitted("models/bert") as path:
            model = AutoModel.from_pretrained(path)

    The copy is verified and scanned as `load` does with a file, a directory as a whole; the loader itself is held to
    nothing. Version control's own files are not copied, and links to files become files. Raises as `load` does.
    """
    policy = guarding(policy or Policy())
    name = os.fspath(path)
    held: PrivateCopy | PrivateFolder
    if os.path.isdir(name):
        held = PrivateFolder(name, walk([name]))
        items: list[File | Omitted] = held.items
    else:
        held = PrivateCopy.of(name, in_memory=False)
        items = [File(held.path, display(name))]
    with held:
        if trust is not None or policy.identities or signature is not None:
            _verify(held, name, policy, trust, signature)
        report = scan_files(items, policy, [name])
        if reason := refusal(report):
            raise LoadRefused(reason, report)
        yield held.path


def _verify(
    held: PrivateCopy | PrivateFolder,
    name: str,
    policy: Policy,
    trust: "Trust | None",
    signature: "str | os.PathLike[str] | None",
) -> None:
    """Raise `LoadRefused` unless somebody who is trusted signed the copy."""
    from garrison.provenance.signed_file import verify_copy
    from garrison.provenance.signing import verify
    from garrison.provenance.trust import Refused, Trust

    trust = trust or Trust(identities=policy.identities)
    path = None if signature is None else os.fspath(signature)
    try:
        if isinstance(held, PrivateCopy):
            verify_copy(held.path, name, trust, signature=path)
        elif difference := verify(held.path, trust, signature=path).difference:
            kinds = ("missing", "added", "changed")
            parts = [
                f"{kind}: {', '.join(getattr(difference, kind)[:3])}" for kind in kinds if getattr(difference, kind)
            ]
            raise Refused(f"the model is not as it was signed ({'; '.join(parts)})")
    except Refused as reason:
        raise LoadRefused(f"{display(name)}: {reason}") from None


def _unpacked(copy: PrivateCopy, admitted: Admitted, limits: Limits) -> tuple[PrivateCopy, Admitted] | None:
    """What is inside a container that holds one thing, as a copy of its own; `None` for all else."""
    container = formats().get(admitted.item.formats[0]) if len(admitted.item.formats) == 1 else None
    inside = admitted.only_member()
    if has_loader(admitted) or container is None or not container.container or inside is None:
        return None
    context = Context(limits, copy.size)
    source = Source(admitted.subject, FileReader(copy.descriptor, copy.size))
    for found in function(container.extractor)(source, context):
        if isinstance(found, Source) and found.subject == inside.subject:
            return PrivateCopy.of_stream(found.reader.file(), found.name, found.reader.size), inside
    return None
