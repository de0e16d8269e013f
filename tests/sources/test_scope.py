"""In a file system only what matters there is looked for."""

import pickle

import pytest

from garrison.core.limits import Limits
from garrison.sources.examination import examine
from garrison.sources.reader import BytesReader
from garrison.sources.scope import hidden_scope, is_unread, scope_of
from garrison.sources.source import Context, Source

TOKEN = b"[section]\nurl = https://user:Zk3vQp9xLw2r@db.corp.io/x\n"


def formats_of(path: str, data: bytes) -> list[str]:
    source = Source(path, BytesReader(data), scope=scope_of(path))
    return [name for item in examine(source, Context(Limits(), len(data))) for name in item.formats]


@pytest.mark.parametrize(
    ("path", "data", "formats"),
    [
        ("usr/bin/python3", b"\x7fELF" + bytes(100), []),
        ("app/tool", b"\x7fELF" + bytes(100), []),
        ("usr/bin/x", b"#!/bin/sh\nls\n", []),
        ("usr/lib/python3/os.py", b"import os\nos.system('ls')\n", []),
        ("app/serve.py", b"import os\nos.system('ls')\n", ["python"]),
        ("usr/lib/m.bin", pickle.dumps({1: 2}), ["pickle"]),
        ("usr/lib/python3/site-packages/x.pth", b"import os\n", ["site-paths"]),
        ("usr/share/x/config.json", b'{"a": "b"}', []),
        ("srv/config.json", b'{"a": "b"}', ["json"]),
        ("etc/config.json", b'{"a": "b", "c": "dddddddd"}', []),
        ("usr/share/x/token", TOKEN, []),
        ("etc/npmrc", TOKEN, ["text"]),
        ("root/.npmrc", TOKEN, ["text"]),
        ("usr/lib/os-release", b"ID=debian\nVERSION_ID=12\n", ["os-release"]),
        ("proc/1/x", b"", ["empty"]),
    ],
)
def test_what_is_stated_of_a_file(path: str, data: bytes, formats: list[str]) -> None:
    assert formats_of(path, data) == formats


def test_what_is_inside_has_the_same_scope() -> None:
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.exe", b"\x7fELF" + bytes(100))
        archive.writestr("b.pkl", pickle.dumps({1: 2}))
    assert formats_of("usr/lib/x.zip", out.getvalue()) == ["pickle", "zip"]


def test_of_hidden_files_only_credentials_are_told() -> None:
    source = Source("x", BytesReader(pickle.dumps({1: 2})), scope=hidden_scope("layer 2 deletes it"))
    assert list(examine(source, Context(Limits(), 10))) == []


def test_folders_of_the_kernel_are_not_read() -> None:
    assert is_unread("proc") and is_unread("sys") and not is_unread("app")
