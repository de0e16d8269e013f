from collections.abc import Callable
from pathlib import Path
from typing import Any

from garrison.core.policy import Identity
from garrison.provenance.keys import pem
from garrison.provenance.trust import Refused, Trust
from tests.provenance.alterations import Attempt, Table
from tests.provenance.test_signing import ALTERATIONS, SIGNER, checked, made, signed


def verified(model: Path, directory: Path, **more: Any) -> Any:
    """The verification, or `Refused` with what differs."""
    (directory / "key.pem").write_bytes(pem(SIGNER.public_key))
    trust = Trust(identities=(Identity(name="alice", public_key="key.pem"),), base=str(directory))
    found = checked(model, trust, **more)
    if not found.holds:
        raise Refused(str(found.difference))
    return found


def after(alter: Callable[[Path], Any]) -> Attempt:
    def tried(directory: Path) -> Any:
        model = made(directory / "model")
        signed(model)
        alter(model)
        return verified(model, directory)

    return tried


def with_another_s_signature(directory: Path) -> Any:
    model, other = made(directory / "model"), made(directory / "other")
    (other / "config.json").write_text("[]")
    signed(other)
    return verified(model, directory, signature=str(other / "model.sig"))


def linked(model: Path) -> None:
    (model / "weights.bin").rename(model.parent / "weights.bin")
    (model / "weights.bin").symlink_to(model.parent / "weights.bin")


def renamed(model: Path) -> None:
    model.rename(model.parent / "aside")
    (model.parent / "aside").rename(model)


TABLE = Table(
    title="Signed models",
    about="A directory is signed, altered, and verified with the public key of who signed it.",
    refused={
        **{f"a file {what}": after(alter) for what, (alter, _) in ALTERATIONS.items()},
        "a file replaced with a link to the same bytes": after(linked),
        "a link added": after(lambda model: (model / "link").symlink_to("weights.bin")),
        "the signature of another model": with_another_s_signature,
    },
    harmless={
        "nothing": after(lambda model: None),
        "the directory's own name": after(lambda model: renamed(model)),
        "a file's mode": after(lambda model: (model / "weights.bin").chmod(0o600)),
        "an empty directory": after(lambda model: (model / "empty folder").mkdir()),
        "Git's own files, which verifying mentions": after(lambda model: (model / ".gitignore").write_text("*")),
    },
)
