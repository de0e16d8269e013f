import base64
import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from garrison.provenance import bundles
from garrison.provenance.attestations import Version, attest, attested, opened, scanned, subject_of
from garrison.provenance.attestations.checking import checked
from garrison.provenance.attestations.predicates import described, type_of
from garrison.provenance.attestations.storage import Stored, stored
from garrison.provenance.attestations.versions import remember
from garrison.provenance.statements import STATEMENT, Subject
from garrison.provenance.trust import Refused
from tests.provenance.alterations import Attempt, Table, every, flips
from tests.provenance.attestations.samples import LATER, NOW, PREDICATES
from tests.provenance.attestations.test_statement import SIGNER, STRANGER
from tests.provenance.bundles.test_opening import changed, trusting

SCAN = PREDICATES["scan"]


def made(directory: Path) -> Path:
    """A model of three files."""
    model = directory / "model"
    (model / "weights").mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "weights" / "one.bin").write_bytes(b"one")
    (model / "weights" / "two.bin").write_bytes(b"two")
    return model


def subject(model: Path) -> Subject:
    return subject_of(*attested(str(model)))


def held(model: Path, data: bytes, directory: Path, now: datetime.datetime = NOW) -> Any:
    """What the attestation says, if it holds. Raises `Refused`."""
    (found,) = checked(str(model), [Stored(place="x", data=data)], trusting(directory, SIGNER), now=now)
    if not found.holds:
        raise Refused(found.reason)
    return found.attestation


def model_altered(alter: Callable[[Path], Any]) -> Attempt:
    """The model is altered after it was attested."""

    def tried(directory: Path) -> Any:
        model = made(directory)
        bundle = attest([subject(model)], SCAN, SIGNER)
        alter(model)
        return held(model, bundle, directory)

    return tried


def statement_signed(alter: Callable[[dict[str, Any]], Any]) -> Attempt:
    """The statement is altered before it is signed, as only the signer could."""

    def tried(directory: Path) -> Any:
        model = made(directory)
        document = msgspec.to_builtins(
            {
                "_type": STATEMENT,
                "subject": [subject(model)],
                "predicateType": type_of(SCAN),
                "predicate": described(SCAN),
            }
        )
        alter(document)
        return held(model, bundles.write(msgspec.json.encode(document), SIGNER), directory)

    return tried


def bundle_altered(alter: Callable[[bytes], bytes], now: datetime.datetime = NOW) -> Attempt:
    """The attestation is altered after it was signed."""

    def tried(directory: Path) -> Any:
        model = made(directory)
        return held(model, alter(attest([subject(model)], SCAN, SIGNER)), directory, now)

    return tried


def any_bit(directory: Path) -> Any:
    """Any bit of what is signed is flipped, the signature kept."""
    model = made(directory)
    trust = trusting(directory, SIGNER)
    bundle = attest([subject(model)], PREDICATES["approval"], SIGNER)
    payload = base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])

    def check(altered: bytes) -> None:
        data = changed(bundle, "dsseEnvelope", "payload", to=base64.b64encode(altered).decode())
        opened(data, trust, now=NOW)

    return every(flips(payload, bits=(0, 6)), check)


def put(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def alter(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return alter


def without(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def alter(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return alter


def subject_root(document: dict[str, Any]) -> str:
    root: str = document["subject"][0]["digest"]["sha256"]
    return root


def swapped(model: Path) -> None:
    (model / "weights" / "one.bin").write_bytes(b"two")
    (model / "weights" / "two.bin").write_bytes(b"one")


def digests_for_files(directory: Path) -> Any:
    """A file is made of the digests of a directory's files, and attested; the directory is shown instead."""
    model = made(directory)
    (manifest, *_) = attested(str(model))
    file = directory / "notes.txt"
    file.write_bytes(bytes.fromhex("".join(entry.digest for entry in manifest.entries)))
    about_file = subject(file)
    assert about_file.digest["sha256"] == manifest.root
    return held(model, attest([about_file], SCAN, SIGNER), directory)


def replayed(directory: Path) -> Any:
    """What was said of one model is shown with another."""
    model = made(directory)
    bundle = attest([subject(model)], SCAN, SIGNER)
    other = directory / "other"
    shutil.copytree(model, other)
    (other / "weights" / "one.bin").write_bytes(b"payload")
    return held(other, bundle, directory)


def by_a_stranger(directory: Path) -> Any:
    model = made(directory)
    return held(model, attest([subject(model)], SCAN, STRANGER), directory)


def signature_of_another(directory: Path) -> Any:
    model = made(directory)
    one = attest([subject(model)], SCAN, SIGNER)
    other = json.loads(attest([subject(model)], PREDICATES["version"], SIGNER))["dsseEnvelope"]["signatures"]
    return held(model, changed(one, "dsseEnvelope", "signatures", to=other), directory)


def scan_of_a_file_that_changed(directory: Path) -> Any:
    """A file is altered between the scan and the attestation of it."""
    model = made(directory)
    manifest = attested(str(model), sha256=True)[-1]
    items = [{"subject": f"model/{entry.name}", "sha256": entry.digest} for entry in manifest.entries]
    report = {
        "schema_version": "1.1",
        "tool": {"name": "garrison", "version": "1"},
        "started": "2026-01-01T00:00:00Z",
        "subjects": ["model"],
        "inventory": items,
        "findings": [],
        "coverage": {"examined": 3, "not_understood": 0, "failed": 0, "skipped": 0},
        "decision": {"allowed": True, "verdict": "clean", "threshold": "high", "reasons": []},
    }
    data = msgspec.json.encode(report)
    scanned(data, manifest, created=NOW)
    (model / "config.json").write_text("[]")
    return scanned(data, attested(str(model), sha256=True)[-1], created=NOW)


def version_rolled_back(directory: Path) -> Any:
    """A model of an older version is shown where a newer one was seen."""
    for number in (2, 1):
        remember(Version(created=NOW, name="digits", version=number), str(directory / "seen.json"))


def in_lines(directory: Path) -> Any:
    model = made(directory)
    lines = [attest([subject(model)], predicate, SIGNER) for predicate in (SCAN, PREDICATES["version"])]
    (directory / "claims.jsonl").write_bytes(b"\n".join(lines))
    found = checked(str(model), stored(str(directory / "claims.jsonl")), trusting(directory, SIGNER), now=NOW)
    assert [one.reason for one in found] == ["", ""]


def elsewhere(directory: Path) -> Any:
    model = made(directory)
    bundle = attest([subject(model)], SCAN, SIGNER)
    return held(model.rename(directory / "elsewhere"), bundle, directory)


TABLE = Table(
    title="Attestations",
    about="A model of three files is attested, and the attestation or the model is altered; then both are held against "
    "each other by who trusts the signer. Statements that only the signer could alter are signed again, so that what "
    "is refused is what they say.",
    refused={
        "any bit of the statement": any_bit,
        "not signed": bundle_altered(lambda data: changed(data, "dsseEnvelope", "signatures", to=[])),
        "the statement alone": bundle_altered(
            lambda data: base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"])
        ),
        "signed by a stranger": by_a_stranger,
        "the signature of another statement": signature_of_another,
        "the signature of another type of payload": bundle_altered(
            lambda data: changed(data, "dsseEnvelope", "payloadType", to="application/json")
        ),
        "expired": bundle_altered(lambda data: data, now=LATER),
        "from the future": bundle_altered(lambda data: data, now=NOW - datetime.timedelta(days=1)),
        "shown with another model": replayed,
        "a byte of the model": model_altered(lambda model: (model / "config.json").write_text("[]")),
        "a file of the model added": model_altered(lambda model: (model / "more.bin").touch()),
        "a file of the model removed": model_altered(lambda model: (model / "config.json").unlink()),
        "a file of the model renamed, its place among the others kept": model_altered(
            lambda model: (model / "config.json").rename(model / "config.pkl")
        ),
        "a file of the model moved": model_altered(
            lambda model: (model / "weights" / "one.bin").rename(model / "one.bin")
        ),
        "two files of the model swapped": model_altered(swapped),
        "a file of the model replaced by a link": model_altered(
            lambda model: ((model / "config.json").unlink(), (model / "config.json").symlink_to("weights/one.bin"))
        ),
        "a directory for the file of its digests": digests_for_files,
        "a file that changed after the scan": scan_of_a_file_that_changed,
        "an older version after a newer one": version_rolled_back,
        "no subject": statement_signed(put("subject", value=[])),
        "a subject without names": statement_signed(without("subject", 0, "annotations", "manifest")),
        "a subject without a serialization": statement_signed(without("subject", 0, "annotations", "serialization")),
        "a subject that leaves out a file": statement_signed(
            put("subject", 0, "annotations", "serialization", "ignore_paths", value=["config.json"])
        ),
        "a subject in shards": statement_signed(
            lambda document: document["subject"][0]["annotations"]["serialization"].update(
                method="shards", shard_size=1
            )
        ),
        "a subject with an unknown digest": statement_signed(put("subject", 0, "digest", value={"md5": "0" * 32})),
        "a digest in capitals": statement_signed(
            lambda document: document["subject"][0]["digest"].update(sha256=subject_root(document).upper())
        ),
        "another version of statements": statement_signed(put("_type", value="https://in-toto.io/Statement/v0.1")),
        "an unknown kind": statement_signed(put("predicateType", value="https://example.org/scan")),
        "the kind of another predicate": statement_signed(put("predicateType", value=type_of(PREDICATES["approval"]))),
        "an unknown field, which may be a condition": statement_signed(put("predicate", "unless", value="x")),
        "an unknown field, deep": statement_signed(put("predicate", "coverage", "unless", value=1)),
        "a field left out": statement_signed(without("predicate", "coverage")),
        "a negative count": statement_signed(put("predicate", "findings", "high", value=-1)),
        "a time without a zone": statement_signed(put("predicate", "created", value="2026-06-01T12:00:00")),
        "an unknown verdict": statement_signed(put("predicate", "verdict", value="perfect")),
    },
    harmless={
        "the model's name": elsewhere,
        "Git's own files, which are no part of a model": model_altered(lambda model: (model / ".git").mkdir()),
        "the model's signature, which is no part of it": model_altered(lambda model: (model / "model.sig").touch()),
        "the name that the statement gives the model": statement_signed(put("subject", 0, "name", value="other")),
        "further subjects": statement_signed(
            lambda document: document["subject"].append({"digest": {"sha256": "0" * 64}})
        ),
        "several in one file": in_lines,
    },
)
