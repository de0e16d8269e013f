"""An image is examined as a container of it would see its files, and what it hides is found all the same."""

import gzip
import hashlib
import io
import json
import os
import pickle
import tarfile
from typing import Any

import pytest
from hypothesis import given, settings

from garrison.core.facts import Artifact, Examination, FileMode, OperatingSystem, Package, Secret, Setting
from garrison.core.limits import Limits
from garrison.sources.examination import examine
from garrison.sources.reader import BytesReader, Reader
from garrison.sources.source import Context, Source
from tests.dependencies.images.builder import (
    GZIP,
    OCI,
    PLAIN,
    ZSTD,
    archive,
    blob,
    configuration,
    digest,
    index,
    layout,
    saved,
    tar,
)
from tests.support import damaged, examine_bytes, findings_of, worst

STATUS = (
    b"Package: login\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:4.13\nMaintainer: a\n\n"
    b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\nMaintainer: a\n\n"
)
RELEASE = b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n'
KEY = (
    b"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAv3k9sQZ1xT0uYbN4cR7mWq2eJ8hLpGdF6oKiVzBtXyE5nHsA\n"
    b"UjD0fMgPw1rCk2vOxZl3bTqIeYhS6mNa7uJp8LdQo9WcRtV4yKfBgXiHz5EsDnMk\n-----END RSA PRIVATE KEY-----\n"
)


class Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("id",)


PICKLE = pickle.dumps(Malicious())
BASE = tar(
    {
        "etc/": "dir",
        "etc/os-release": "-> ../usr/lib/os-release",
        "usr/lib/os-release": RELEASE,
        "var/lib/dpkg/status": STATUS,
        "var/lib/dpkg/info/login.list": b"/.\n/bin/su\n",
        "usr/bin/su": b"\x7fELF" + bytes(100),
        "usr/bin/tool": b"#!/bin/sh\nexec python3 -m tool\n",
        "usr/lib/python3/tool.py": b"import os\nos.system('ls')\n",
        "root/key.pem": KEY,
        "app/run.sh": b"#!/bin/sh\nexec python3 /app/serve.py\n",
        "app/serve.py": b"import subprocess\nsubprocess.run(['ls'])\n",
        "app/old.pkl": PICKLE,
    },
    {"usr/bin/su": 0o4755},
)
TOP = tar({"root/.wh.key.pem": b"", "app/.wh.old.pkl": b""})


def by_subject(data: bytes, **more: Any) -> dict[str, Examination]:
    return {examination.subject: examination for examination in examine_bytes(data, "image.tar", **more)}


def rules_of(data: bytes) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in findings_of(data, "image.tar")}


@pytest.mark.parametrize(
    "data",
    [
        saved([BASE, TOP]),
        archive(layout([BASE, TOP])),
        archive(layout([BASE, TOP], [ZSTD, PLAIN])),
        saved([BASE, TOP], change=lambda manifest: None) + bytes(10240),
    ],
    ids=["docker", "oci gzip", "oci zstd and plain", "docker padded"],
)
def test_every_layout_shows_the_same_file_system(data: bytes) -> None:
    found = by_subject(data)
    packages = [f.name for e in found.values() for f in e.facts if isinstance(f, Package)]
    assert sorted(packages) == ["libc6", "login"]
    system = next(f for f in found["image.tar!/etc/os-release"].facts if isinstance(f, OperatingSystem))
    assert (system.id, system.version) == ("debian", "12")
    secret = next(f for f in found["image.tar!/layer 1!/root/key.pem"].facts if isinstance(f, Secret))
    assert secret.hidden == "layer 2 of 2 deletes it, but it is still in layer 1"
    mode = next(f for f in found["image.tar"].facts if isinstance(f, FileMode))
    assert (mode.path, mode.package) == ("/usr/bin/su", "login")
    details = next(f for f in found["image.tar"].facts if isinstance(f, Artifact)).details
    assert (details["layers"], details["files"], details["hidden files"]) == (2, 8, 2)
    # Programs, scripts and ordinary Python are no finding, and a deleted pickle is no model in use.
    rules = rules_of(data)
    assert rules == {"deleted-secret": "high", "privileged-file": "info"}


def test_a_compressed_archive_is_read_by_jumping_back_in_it() -> None:
    filler = tar({f"usr/{n}": hashlib.sha256(b"%d" % n).digest() * 40_000 for n in range(8)})
    data = gzip.compress(saved([BASE, filler, TOP]), 1)
    found = by_subject(data, limits=Limits(buffer=1 << 20))
    image = "image.tar!/(contents)"
    assert f"{image}!/layer 1!/root/key.pem" in found and f"{image}!/var/lib/dpkg/status" in found
    assert all(e.state == "examined" for e in found.values())


def test_a_layer_that_is_there_twice_is_seen_once() -> None:
    found = examine_bytes(saved([BASE, BASE, TOP]), "image.tar")
    assert sum(isinstance(f, Package) for e in found for f in e.facts) == 2


def test_a_pickle_in_use_denies_wherever_it_is() -> None:
    for path in ("app/model.pkl", "usr/lib/x/model.bin", "opt/conda/lib/data", "root/.cache/m"):
        assert worst(findings_of(saved([BASE, tar({path: PICKLE})]), "image.tar")) == "critical", path


def test_a_lower_layer_counts_only_as_far_as_it_is_seen() -> None:
    other = STATUS.replace(b"libc6", b"musl")
    for top, seen in (
        ({"var/lib/dpkg/status": other}, {"login", "musl"}),
        ({"var/lib/dpkg/.wh..wh..opq": b""}, set()),
        ({"var/lib/.wh.dpkg": b""}, set()),
        ({"var": b"a file in place of the folder"}, set()),
        ({".wh..wh..opq": b""}, set()),
        ({"var/lib/dpkg/.wh.nothing": b"", "var/lib/dpkg/.wh..wh.plnk": b""}, {"login", "libc6"}),
    ):
        found = by_subject(saved([BASE, tar(top)]))
        assert {f.name for e in found.values() for f in e.facts if isinstance(f, Package)} == seen, top


def test_of_two_entries_in_a_layer_the_last_wins() -> None:
    layer = tar([("var/lib/dpkg/status", STATUS), ("var/lib/dpkg/status", STATUS.replace(b"libc6", b"musl"))])
    found = by_subject(saved([layer]))
    assert {f.name for e in found.values() for f in e.facts if isinstance(f, Package)} == {"login", "musl"}
    assert rules_of(saved([layer])) == {"duplicate-member-same": "low"}


@pytest.mark.parametrize(
    ("links", "version"),
    [
        ({"etc/os-release": "-> ../opt/os-release", "opt/os-release": "-> /usr/lib/os-release"}, "12"),
        ({"etc": "-> usr/etc", "usr/etc/os-release": "-> ../../../../../../usr/lib/os-release"}, "12"),
        ({"etc/os-release": "-> /etc/os-release"}, "12"),
        ({"etc/os-release": "-> ../a", "a": "-> b", "b": "-> a"}, "12"),
        ({"etc/os-release": RELEASE.replace(b"12", b"13")}, "13"),
    ],
)
def test_links_are_followed_inside_the_image(links: dict[str, Any], version: str) -> None:
    found = by_subject(saved([tar({"usr/lib/os-release": RELEASE, **links})]))
    assert [f.version for f in found["image.tar!/etc/os-release"].facts if isinstance(f, OperatingSystem)] == [version]


@pytest.mark.parametrize(
    "layer",
    [
        {"../../etc/cron.d/x": b"* * * * * root id"},
        {"a/../../x": b"x"},
        {"x": "=> ../../etc/shadow"},
        {"a/.wh...": b""},
        {"a/.wh..": b""},
        {".wh.": b""},
    ],
)
def test_a_layer_that_escapes_is_found(layer: dict[str, Any]) -> None:
    assert rules_of(saved([tar(layer)]))["layer-escapes"] == "high"


def test_ordinary_links_and_devices_are_no_finding() -> None:
    device = tarfile.TarInfo()
    device.type = tarfile.CHRTYPE
    layer = tar({"bin": "-> usr/bin", "x": "-> /etc/shadow", "y": "=> usr/bin/su", "dev/null": device})
    assert rules_of(saved([BASE, layer])) == {
        "privileged-file": "info",
        "secret": "high",
        "dangerous-import": "critical",
    }


def test_long_names_are_read() -> None:
    name = f"app/{'d' * 90}/{'e' * 90}/model.pkl"
    assert f"image.tar!/{name}" in by_subject(saved([tar({name: PICKLE})]))


def test_manifests_that_name_files_outside() -> None:
    def outside(manifest: list[Any]) -> None:
        manifest[0]["Layers"][0] = "../../../../etc/passwd"

    found = rules_of(saved([BASE], change=outside))
    assert found["path-traversal"] == "high" and found["image-incomplete"] == "medium"


def test_what_is_not_as_its_digest_promises() -> None:
    files = layout([BASE, TOP])
    manifest = json.loads(next(data for data in files.values() if b'"layers"' in data))
    changed = tar({"x": b"y"})
    for descriptor in (manifest["layers"][0], manifest["config"]):
        path = f"blobs/sha256/{descriptor['digest'][7:]}"
        assert rules_of(archive(files | {path: changed}))["image-mismatch"] == "high"
    assert "image-mismatch" not in rules_of(archive(files))
    wrong = saved([BASE], rootfs={"diff_ids": [digest(b"other")]})
    assert rules_of(wrong)["image-mismatch"] == "high"
    fewer = saved([BASE, TOP], rootfs={"diff_ids": [digest(BASE)]})
    assert rules_of(fewer)["image-mismatch"] == "high"


def test_a_layer_that_is_not_there_is_a_gap() -> None:
    files = layout([BASE, TOP])
    manifest = json.loads(next(data for data in files.values() if b'"layers"' in data))
    del files[f"blobs/sha256/{manifest['layers'][1]['digest'][7:]}"]
    found = by_subject(archive(files))
    assert found["image.tar!/layer 2"].state == "failed"
    assert "image.tar!/app/old.pkl" in found


@pytest.mark.parametrize(
    ("media_type", "data", "state"),
    [
        (GZIP + "+encrypted", b"\x01\x02" * 600, "not-understood"),
        ("application/vnd.oci.image.layer.v9.squashfs", b"hsqs" + bytes(600), "not-understood"),
    ],
)
def test_layers_that_cannot_be_read_are_said_to_be_there(media_type: str, data: bytes, state: str) -> None:
    files = layout([BASE, data], [GZIP, media_type])
    found = by_subject(archive(files))
    assert found["image.tar!/layer 2"].state == state and "image.tar!/app/old.pkl" in found


def test_foreign_layers_are_a_gap() -> None:
    files = layout([BASE])
    manifest = json.loads(next(data for data in files.values() if b'"layers"' in data))
    manifest["layers"].insert(
        0,
        {"mediaType": OCI + "layer.nondistributable.v1.tar", "digest": digest(b"w"), "size": 1, "urls": ["https://a"]},
    )
    config = configuration([BASE])
    data = archive(index([(manifest, [config, *[v for k, v in files.items() if k.startswith("blobs")]])]))
    assert by_subject(data)["image.tar!/layer 1"].state == "failed"


def platforms() -> bytes:
    images: list[tuple[dict[str, Any], list[bytes]]] = []
    for name in ("arm64", "amd64", "s390x"):
        layer = tar({f"app/{name}.txt": b"HELLO, this is text of some length"})
        config = configuration([layer], architecture=name)
        manifest = {
            "mediaType": OCI + "manifest.v1+json",
            "config": blob(config, OCI + "config.v1+json"),
            "layers": [blob(layer, PLAIN)],
        }
        images.append((manifest, [config, layer]))
    files = index(images)
    listed = json.loads(files["index.json"])
    for descriptor, name in zip(listed["manifests"], ("arm64", "amd64", "s390x"), strict=True):
        descriptor["platform"] = {"os": "linux", "architecture": name}
    inner = json.dumps({"mediaType": OCI + "index.v1+json", **listed}).encode()
    files[f"blobs/sha256/{digest(inner)[7:]}"] = inner
    files["index.json"] = json.dumps({"manifests": [blob(inner, OCI + "index.v1+json")]}).encode()
    return archive(files)


def test_of_several_platforms_one_is_examined_and_the_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, name in (("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "arm64")):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        found = by_subject(platforms())
        assert f"image.tar!/app/{name}.txt" in found
        skipped = [e.reason for e in found.values() if e.state == "skipped"]
        assert len(skipped) == 2 and all(f"the image for linux/{name} is examined" in reason for reason in skipped)


def test_several_images_are_told_apart() -> None:
    one, two = tar({"app/a.pkl": PICKLE}), tar({"app/b.txt": b"HELLO, this is text of some length"})
    names = []
    files: dict[str, bytes] = {}
    for number, layer in enumerate((one, two)):
        config = configuration([layer])
        files |= {f"{number}.json": config, f"{number}/layer.tar": layer}
        names.append({"Config": f"{number}.json", "RepoTags": [f"team/i:{number}"], "Layers": [f"{number}/layer.tar"]})
    data = archive({"manifest.json": json.dumps(names).encode(), **files})
    found = by_subject(data)
    assert {"image.tar!/team/i:0!/app/a.pkl", "image.tar!/team/i:1!/app/b.txt"} <= set(found)


def test_an_index_and_a_manifest_that_disagree_are_both_followed() -> None:
    other = tar({"app/hidden.pkl": PICKLE})
    config = configuration([other])
    files = layout([BASE])
    files |= {
        "c.json": config,
        "l.tar": other,
        "manifest.json": json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]}]).encode(),
    }
    found = by_subject(archive(files))
    assert any(subject.endswith("!/app/hidden.pkl") for subject in found)
    assert any(subject.endswith("!/app/run.sh") for subject in found)


def test_models_that_are_stored_like_images() -> None:
    for config_type, artifact_type in (
        ("application/vnd.cnai.model.config.v1+json", ""),
        ("application/vnd.oci.empty.v1+json", "application/vnd.acme.model"),
        (OCI + "config.v1+json", ""),
    ):
        manifest: dict[str, Any] = {
            "mediaType": OCI + "manifest.v1+json",
            "config": blob(b"{}", config_type),
            "layers": [
                blob(PICKLE, "application/vnd.x.model", annotations={"org.opencontainers.image.title": "m.pkl"})
            ],
        }
        if artifact_type:
            manifest["artifactType"] = artifact_type
        data = archive(index([(manifest, [b"{}", PICKLE])]))
        assert by_subject(data)["image.tar!/m.pkl"].formats == ["pickle"]
        assert rules_of(data) == {"dangerous-import": "critical"}
        manifest["layers"][0]["annotations"]["org.opencontainers.image.title"] = "../../root/.bashrc"
        assert rules_of(archive(index([(manifest, [b"{}", PICKLE])])))["path-traversal"] == "high"


def test_secrets_in_the_configuration_are_found_and_not_shown() -> None:
    token = "npm_" + "b" * 36
    password = "hunter-two-of-three"
    config = {"Env": ["PATH=/bin", f"DATABASE_PASSWORD={password}", "URL=https://u:Zk3vQp9xLw2r@db.corp.io/x"]}
    data = saved([TOP], config=config, history=[{"created_by": "RUN git clone https://u:Zk3vQp9xLw2s@git.corp.io/x"}])
    rules = findings_of(data, "image.tar")
    assert {(f.rule, f.place) for f in rules if f.severity.rank > 1} == {
        ("secret", "variable URL"),
        ("secret", "history, step 1"),
        ("image-credential-variable", "variable DATABASE_PASSWORD"),
    }
    shown = repr(examine_bytes(data, "image.tar"))
    assert password not in shown and "Zk3vQp9xLw2" not in shown and token not in shown


class CountingReader(BytesReader):
    """Says how many bytes were read of each part."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.count = 0

    def pread(self, offset: int, length: int) -> bytes:
        data = super().pread(offset, length)
        self.count += len(data)
        return data


@pytest.mark.parametrize("kind", [GZIP, ZSTD, PLAIN])
def test_each_layer_is_read_once(kind: str) -> None:
    layers = [
        tar({f"app/{layer}/{n}.bin": hashlib.sha256(b"%d" % n).digest() * 3000 for n in range(20)})
        for layer in range(3)
    ]
    data = archive(layout(layers, [kind] * 3))
    reader: Reader = CountingReader(data)
    for _ in examine(Source("image.tar", reader), Context(Limits(), len(data))):
        pass
    assert isinstance(reader, CountingReader)
    # Plain layers' files are looked at where they lie, so that their first and last bytes are read again.
    assert reader.count < len(data) * (1.4 if kind == PLAIN else 1.0) + (1 << 19)


def test_a_tar_with_too_many_entries_ends_in_a_finding() -> None:
    layer = tar([(f"a/{n}", b"") for n in range(300)])
    found = by_subject(saved([tar({"app/m.pkl": PICKLE}), layer]), limits=Limits(entries=200))
    assert found["image.tar!/layer 2"].state == "partial"


def test_an_enormous_configuration_is_not_read() -> None:
    data = saved([BASE], junk="x" * (9 << 20))
    found = by_subject(data)
    assert any(e.state == "failed" and "longer than" in e.reason for e in found.values())


def test_a_bomb_in_a_layer_ends_in_a_finding() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tape:
        info = tarfile.TarInfo("app/zeros")
        info.size = 64 << 20
        tape.addfile(info, io.BytesIO(bytes(info.size)))
    data = archive(layout([out.getvalue()]))
    found = [f for e in examine_bytes(data, "image.tar", limits=Limits(ratio_floor=1 << 20)) for f in e.facts]
    assert "decompression-bomb" in {getattr(fact, "what", "") for fact in found}


def test_a_gzip_that_breaks_off() -> None:
    files = layout([BASE, TOP])
    manifest = json.loads(next(data for data in files.values() if b'"layers"' in data))
    path = f"blobs/sha256/{manifest['layers'][0]['digest'][7:]}"
    found = by_subject(archive(files | {path: files[path][: len(files[path]) // 2]}))
    assert found["image.tar!/layer 1"].state == "partial"


def test_no_damage_makes_a_reader_fail() -> None:
    sample = archive(layout([tar({"etc/os-release": RELEASE, "app/m.pkl": PICKLE}), TOP]))
    small = saved([tar({"etc/os-release": RELEASE}), TOP])

    @settings(max_examples=60, deadline=None)
    @given(damaged(sample, small))
    def check(data: bytes) -> None:
        for examination in examine_bytes(data, "image.tar"):
            assert "reader failed" not in examination.reason, examination.reason

    check()


def test_documents_of_strange_types_are_no_crash() -> None:
    for value in (None, 1, "x", [], {}, [1], {"digest": "../../etc/passwd"}, [{"digest": 1}]):
        for key in ("config", "layers", "manifests", "mediaType", "artifactType"):

            def change(manifest: dict[str, Any], key: str = key, value: object = value) -> None:
                manifest[key] = value

            for examination in examine_bytes(archive(layout([TOP], change=change)), "image.tar"):
                assert "reader failed" not in examination.reason, (key, value, examination.reason)
        for key in ("config", "history", "rootfs", "created", "os"):
            for examination in examine_bytes(saved([TOP], **{key: value}), "image.tar"):
                assert "reader failed" not in examination.reason, (key, value, examination.reason)
                assert not [s for s in examination.facts if isinstance(s, Setting) and s.topic == "exposed-port"]


HARD_LINKS = [
    # Another name in the layer of the file itself, whose first name a layer above deletes.
    [[("s/a", PICKLE), ("app/m", "=> s/a")], [("s/.wh.a", b"")]],
    [[("s/a", PICKLE), ("s/b", "=> s/a"), ("app/m", "=> s/b")], [(".wh.s", b"")]],
    [[("s/a", PICKLE), ("app/m/", "=> s/a")], [("s/.wh..wh..opq", b"")]],
    # In a layer above, which deletes the first name at once or leaves that to another.
    [[("s/a", PICKLE)], [("app/m", "=> s/a"), ("s/.wh.a", b"")]],
    [[("s/a", PICKLE)], [("s/b", "=> s/a")], [("app/m", "=> s/b"), (".wh.s", b"")]],
    [[("s/a", PICKLE)], [("app/m", "=> s/a")], [("s", b"a file in its place")]],
]


@pytest.mark.parametrize("layers", HARD_LINKS)
def test_a_hard_link_keeps_a_file_whose_first_name_is_deleted(layers: list[list[tuple[str, Any]]]) -> None:
    for kind in (PLAIN, GZIP, ZSTD):
        data = archive(layout([tar(layer) for layer in layers], [kind] * len(layers)))
        assert "dangerous-import" in by_rule_at(data, "image.tar!/app/m")


def test_a_truncated_zstd_layer_is_no_whole_one() -> None:
    files = layout([tar({"app/a": bytes(range(256)) * 4000})], [ZSTD])
    path, data = next((p, d) for p, d in files.items() if d.startswith(b"\x28\xb5\x2f\xfd"))
    found = by_subject(archive(files | {path: data[:-1]}))
    assert found["image.tar!/layer 1"].state == "partial"


def test_a_hard_link_before_a_file_of_its_layer_leads_below() -> None:
    layers = [tar({"c": PICKLE}), tar([("a", "=> c"), ("c", b"x")])]
    assert rules_of(saved(layers))["dangerous-import"] == "critical"


def test_a_hard_link_to_nothing_is_a_gap() -> None:
    assert by_subject(saved([tar({"s/a": PICKLE}), tar({"s": "=> s"})]))["image.tar!/s"].state == "failed"
    found = by_subject(saved([tar({"app/m": "=> s/a"})]))
    assert found["image.tar!/app/m"].state == "failed"
    assert "image.tar!/app/m" not in by_subject(saved([tar({"s/a": b"x"}), tar({"app/m": "=> s/a"})]))


def by_rule_at(data: bytes, subject: str) -> set[str]:
    return {finding.rule for finding in findings_of(data, "image.tar") if finding.subject == subject}


def test_what_was_written_through_a_link_stays_when_the_link_is_replaced() -> None:
    layers = [tar({"l": "-> real"}), tar({"l/m.pkl": PICKLE}), tar({"l": "-> other"})]
    assert rules_of(saved(layers))["dangerous-import"] == "critical"


def test_files_in_the_folders_of_the_kernel_are_read() -> None:
    assert rules_of(saved([tar({"dev/m.pkl": PICKLE, "proc/x/m.pkl": PICKLE})]))["dangerous-import"] == "critical"


def header(name: str, size: int, kind: bytes = b"0") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT)


def member(name: str, data: bytes, kind: bytes = b"0") -> bytes:
    return header(name, len(data), kind) + data + bytes(-len(data) % 512)


def record(key: str, value: str) -> bytes:
    for length in range(1, 999):
        line = f"{length} {key}={value}\n".encode()
        if len(line) == length:
            return line
    raise AssertionError


@pytest.mark.parametrize(
    "front",
    [
        member("g", record("path", "etc/passwd") + record("size", "4096"), b"g"),
        member("x", record("size", "4096"), b"x") + member("x", record("comment", "a"), b"x"),
        member("x", record("path", "app/.wh.x"), b"x") + member("l", b"app/m.pkl\0", b"L"),
        member("x", record("size", "4096"), b"x") + member("g", record("comment", "a"), b"g"),
    ],
    ids=["global records", "records that others replace", "a GNU name beside a pax one", "records that a global ends"],
)
def test_layers_are_read_as_engines_read_them(front: bytes) -> None:
    layer = front + member("app/m.pkl", PICKLE) + member("app/n.pkl", PICKLE) + bytes(10240)
    data = saved([layer])
    assert by_rule_at(data, "image.tar!/app/m.pkl") & by_rule_at(data, "image.tar!/app/n.pkl") == {"dangerous-import"}


def test_a_number_behind_zeros_is_not_taken_for_none() -> None:
    inner = member("a", b"b")
    block = bytearray(header("app/m.pkl", len(inner)))
    block[124:136] = b"\0%010o\0" % len(inner)
    block[148:156] = b"%06o\0 " % sum(block[:148] + b" " * 8 + block[156:])
    layer = bytes(block) + inner + bytes(10240)
    assert rules_of(saved([layer]))["malformed"]


def test_a_layer_that_is_only_called_encrypted_is_read() -> None:
    layer = tar({"app/m.pkl": PICKLE})
    data = archive(layout([layer], [PLAIN], change=lambda m: m["layers"][0].update(mediaType=GZIP + "+encrypted")))
    assert rules_of(data)["dangerous-import"] == "critical"


@pytest.mark.parametrize(
    ("platforms", "annotations"),
    [
        (["amd64", "amd64"], {"vnd.docker.reference.type": "attestation-manifest"}),
        (["amd64", "amd64"], {}),
    ],
    ids=["called an attestation", "second of its platform"],
)
def test_all_images_that_an_engine_may_take_are_examined(
    platforms: list[str], annotations: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    images: list[tuple[dict[str, Any], list[bytes]]] = []
    for content in ({"app/a.txt": b"nothing"}, {"app/m.pkl": PICKLE}):
        layer = tar(content)
        config = configuration([layer])
        descriptors = {"config": blob(config, OCI + "config.v1+json"), "layers": [blob(layer, PLAIN)]}
        images.append(({"mediaType": OCI + "manifest.v1+json", **descriptors}, [config, layer]))
    files = index(images)
    listed = json.loads(files["index.json"])
    for descriptor, name in zip(listed["manifests"], platforms, strict=True):
        descriptor["platform"] = {"os": "linux", "architecture": name}
    listed["manifests"][1]["annotations"] = annotations
    data = archive(files | {"index.json": json.dumps(listed).encode()})
    assert rules_of(data)["dangerous-import"] == "critical"


def test_a_manifest_with_the_same_configuration_and_other_layers_is_read() -> None:
    config = configuration([], rootfs={})
    files = layout([tar({"app/m.pkl": PICKLE})], [PLAIN], rootfs={})
    name = f"{digest(config)[7:]}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": ["a:1"], "Layers": ["l.tar"]}]).encode()
    assert f"blobs/sha256/{digest(config)[7:]}" in files
    data = archive(files | {name: config, "l.tar": tar({"a": b"b"}), "manifest.json": manifest})
    assert rules_of(data)["dangerous-import"] == "critical"


def test_two_manifests_of_one_name_and_what_no_manifest_names() -> None:
    good, bad = saved([tar({"a": b"b"})]), tar({"app/m.pkl": PICKLE})
    first = json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]}]).encode()
    data = member("manifest.json", first) + member("l.tar", bad) + good
    found = rules_of(data)
    assert found["duplicate-member"] == "high" and found["dangerous-import"] == "critical"
