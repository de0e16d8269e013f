"""Which commit a working tree is at, and whether it is what that commit says, without running anything of it.

A repository's own configuration names programs that git runs (filters, fsmonitor, hooks), and its index can hide
changes. So git is given another repository: an empty one with a configuration of ours, the commit for its HEAD, and the
objects of the first as an alternate (gitrepository-layout(5)), beside the working tree that is asked about. There the
index is made from the commit, so that git compares the bytes of every file that it tracks.

Files that Git LFS keeps elsewhere count as unchanged if they have the digest that their pointer says
(https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
"""

import contextlib
import hashlib
import os
import re
import subprocess
import tempfile
import threading
from urllib.parse import urlsplit, urlunsplit

import msgspec

from garrison.core.errors import UsageError

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFERENCE = re.compile(r"ref: (refs/[^\0\n]+)")
_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (\d+)\n")
_SHORT_ADDRESS = re.compile(r"(?:[^@/:\s]+@)?([A-Za-z0-9.-]{2,}):(?!//|:)(\S+)")
_POINTER_BYTES = 1024
_SMALL_FILE_BYTES = 64 << 20
"""The longest file of the repository that is read here, a list of all its packed references."""
_SECONDS = 600
_CONFIGURATION = """[core]
repositoryformatversion = 1
bare = false
[extensions]
objectFormat = {form}
"""
_LINKED = 5
"""How many symbolic references may lead on to each other, as in git itself."""


_NESTED = 16
"""How many submodules may lie inside each other."""


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """SHA-1 or SHA-256, in hexadecimal."""
    uri: str
    """Where the repository is from: `git+` and the address of its remote `origin`; empty where there is none."""
    changed: tuple[str, ...]
    """Files of the working tree that are not as the commit says, or not in it and not ignored."""


def commit_of(directory: str) -> Commit:
    """The commit that a working tree is at. Raises `UsageError` where there is none, or no git to ask."""
    return _commit_of(directory, _NESTED)


def _commit_of(directory: str, depth: int) -> Commit:
    tree = os.path.realpath(directory)
    while not os.path.lexists(os.path.join(tree, ".git")):
        above = os.path.dirname(tree)
        if above == tree:
            raise UsageError(f"{directory}: not in a working tree of git")
        tree = above
    own, common = _stores(tree)
    commit = _head(own, common)
    with tempfile.TemporaryDirectory(prefix="garrison-") as temporary:
        git = _Git(temporary, tree, os.path.join(common, "objects"), commit)
        changed = [name for name in git.changed() if not git.is_unchanged_pointer(name)]
        inner = [(name, os.path.join(tree, name)) for name in git.submodules()]
        uri = git.origin(os.path.join(common, "config"))
    for name, path in inner:
        changed += [one for one in _changed_within(name, path, depth) if one not in changed]
    return Commit(id=commit, uri=uri, changed=tuple(changed))


def _changed_within(name: str, path: str, depth: int) -> list[str]:
    """Files of a submodule that are not as its own commit says; which commit that is, the outer one tells."""
    if os.path.islink(path) or not os.path.isdir(path):
        return []
    if not os.path.lexists(os.path.join(path, ".git")):
        # Not checked out, so that nothing may lie there: git itself does not look.
        with contextlib.suppress(OSError):
            return [name] if os.listdir(path) else []
        return [name]
    if not depth:
        raise UsageError(f"{path}: more than {_NESTED} submodules inside each other")
    try:
        return [f"{name}/{one}" for one in _commit_of(path, depth - 1).changed]
    except UsageError:
        return [name]


def _stores(tree: str) -> tuple[str, str]:
    """The repository's directory, and the one that it shares with other working trees."""
    own = os.path.join(tree, ".git")
    if os.path.isfile(own):
        said = _text(own)
        if not said.startswith("gitdir: "):
            raise UsageError(f"{own}: names no repository")
        own = os.path.join(tree, said.removeprefix("gitdir: ").rstrip("\n"))
    shared = os.path.join(own, "commondir")
    common = os.path.join(own, _text(shared).strip()) if os.path.isfile(shared) else own
    return own, common


def _head(own: str, common: str) -> str:
    said = _text(os.path.join(own, "HEAD")).strip()
    for _ in range(_LINKED):
        if _COMMIT.fullmatch(said):
            return said
        name = _REFERENCE.fullmatch(said)
        if not name or ".." in name[1]:
            break
        said = _reference(name[1], own, common)
    raise UsageError(f"{own}: its HEAD is no commit that can be found")


def _reference(name: str, own: str, common: str) -> str:
    for directory in (own, common):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            return _text(path).strip()
    packed = os.path.join(common, "packed-refs")
    if os.path.isfile(packed):
        for line in _text(packed).splitlines():
            commit, _, named = line.partition(" ")
            if named == name:
                return commit
    return ""


def _text(path: str) -> str:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            data = file.read(_SMALL_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _SMALL_FILE_BYTES:
        raise UsageError(f"{path}: longer than {_SMALL_FILE_BYTES:,} bytes")
    return os.fsdecode(data)


class _Git:
    """git, in a repository of our own beside somebody's working tree."""

    def __init__(self, directory: str, tree: str, objects: str, commit: str) -> None:
        self._tree = tree
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": directory,
            "LC_ALL": "C",
            "GIT_DIR": directory,
            "GIT_WORK_TREE": tree,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
        }
        form = "sha256" if len(commit) == 64 else "sha1"
        _make(directory, "HEAD", f"{commit}\n")
        _make(directory, "config", _CONFIGURATION.format(form=form))
        _make(directory, "objects/info/alternates", f"{os.path.realpath(objects)}\n")
        # Of a line with `$Id: …$` git would take anything for what was committed.
        _make(directory, "info/attributes", "* -ident\n")
        os.mkdir(os.path.join(directory, "refs"))
        self._run("read-tree", "HEAD")

    def changed(self) -> list[str]:
        """Paths below the working tree, as git's status lists them."""
        listed = self._run(
            "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=dirty", "--no-renames"
        )
        return [os.fsdecode(line[3:]) for line in listed.split(b"\0") if line]

    def submodules(self) -> list[str]:
        """Paths below the working tree at which the commit names a commit of another repository."""
        listed = self._run("ls-files", "--stage", "-z").split(b"\0")
        return [os.fsdecode(line.partition(b"\t")[2]) for line in listed if line.startswith(b"160000 ")]

    def is_unchanged_pointer(self, name: str) -> bool:
        """Whether the commit has a pointer of Git LFS in place of the file, and to just this file."""
        try:
            pointer = self._run("cat-file", "blob", f"HEAD:{name}", most=_POINTER_BYTES)
        except UsageError:
            return False
        found = _POINTER.fullmatch(pointer)
        path = os.path.join(self._tree, name)
        if not found or os.path.islink(path) or not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == found[1].decode()

    def origin(self, configuration: str) -> str:
        """Where the repository is from, without a name or a password of anybody."""
        try:
            said = self._run("config", "--file", configuration, "--no-includes", "--get", "remote.origin.url")
        except UsageError:
            return ""
        return _address(os.fsdecode(said).strip())

    def _run(self, *arguments: str, most: int = _SMALL_FILE_BYTES) -> bytes:
        command = ["git", *arguments]
        try:
            with (
                tempfile.TemporaryFile() as complaints,
                subprocess.Popen(
                    command,
                    cwd=self._tree,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                ) as process,
            ):
                assert process.stdout is not None
                timer = threading.Timer(_SECONDS, process.kill)
                timer.start()
                try:
                    data = process.stdout.read(most + 1)
                    if len(data) > most:
                        process.kill()
                        raise UsageError(f"git {arguments[0]} says more than {most:,} bytes of {self._tree}")
                    code = process.wait()
                finally:
                    timer.cancel()
                complaints.seek(0)
                said = complaints.read(1000).decode(errors="replace").strip().partition("\n")[0]
        except FileNotFoundError:
            raise UsageError("there is no git to ask which commit the code is at") from None
        if code:
            raise UsageError(f"{self._tree}: git {arguments[0]} failed: {said or code}")
        return data


def _make(directory: str, name: str, text: str) -> None:
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(os.fsencode(text))


def _address(said: str) -> str:
    """The address of a remote as a URI, without a name or a password of anybody; empty for a path."""
    short = _SHORT_ADDRESS.fullmatch(said)
    if short:
        said = f"ssh://{short[1]}/{short[2].lstrip('/')}"
    with contextlib.suppress(ValueError):
        parts = urlsplit(said)
        if parts.scheme in ("https", "http", "ssh", "git") and parts.hostname:
            return "git+" + urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return ""
