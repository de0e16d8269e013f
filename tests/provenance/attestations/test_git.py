"""Commits: which one a working tree is at and what in it is changed, without running anything of the repository."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.provenance.attestations.git import commit_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(tree: Path, *arguments: str) -> str:
    command = ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(command, cwd=tree, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree with two files and one commit."""
    directory = tmp_path / "code"
    (directory / "package").mkdir(parents=True)
    (directory / "train.py").write_text("print('train')\n")
    (directory / "package" / "größe.py").write_text("")
    (directory / ".gitignore").write_text("*.log\n")
    git(directory, "init", "-q")
    git(directory, "add", ".")
    git(directory, "commit", "-qm", "one")
    return directory


def test_a_clean_tree(tree: Path) -> None:
    (tree / "ignored.log").touch()
    found = commit_of(str(tree))
    assert (found.id, found.changed, found.uri) == (git(tree, "rev-parse", "HEAD"), (), "")
    assert commit_of(str(tree / "package")) == found


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("https://example.org/team/code.git", "git+https://example.org/team/code.git"),
        ("https://user:secret@example.org/code?token=secret", "git+https://example.org/code"),
        ("git@example.org:team/code.git", "git+ssh://example.org/team/code.git"),
        ("ssh://git@example.org:22/code", "git+ssh://example.org:22/code"),
        ("/srv/code.git", ""),
        ("../code", ""),
        ("ext::sh -c id", ""),
        ("https://[::1/x", ""),
    ],
)
def test_where_it_is_from_without_secrets(tree: Path, address: str, uri: str) -> None:
    git(tree, "config", "remote.origin.url", address)
    assert commit_of(str(tree)).uri == uri


@pytest.mark.parametrize("change", ["changed", "staged", "added", "removed", "mode", "hidden", "skipped"])
def test_changes_are_named(tree: Path, change: str) -> None:
    expected = "train.py"
    if change == "changed":
        (tree / "train.py").write_text("print('other')\n")
    elif change == "staged":
        (tree / "train.py").write_text("print('other')\n")
        git(tree, "add", ".")
    elif change == "added":
        expected = "helper.py"
        (tree / "helper.py").touch()
    elif change == "removed":
        (tree / "train.py").unlink()
    elif change == "mode":
        (tree / "train.py").chmod(0o755)
    else:
        # Flags in the repository's own index hide a change from git itself.
        flag = "--assume-unchanged" if change == "hidden" else "--skip-worktree"
        git(tree, "update-index", flag, "train.py")
        (tree / "train.py").write_text("print('other')\n")
        assert git(tree, "status", "--porcelain") == ""
    assert commit_of(str(tree)).changed == (expected,)


def test_detached_packed_and_linked_trees(tree: Path, tmp_path: Path) -> None:
    first = git(tree, "rev-parse", "HEAD")
    git(tree, "pack-refs", "--all")
    git(tree, "gc", "-q")
    assert commit_of(str(tree)).id == first
    git(tree, "worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    (tmp_path / "linked" / "more.py").touch()
    assert commit_of(str(tmp_path / "linked")).changed == ("more.py",)
    git(tmp_path / "linked", "add", ".")
    git(tmp_path / "linked", "commit", "-qm", "two")
    assert commit_of(str(tmp_path / "linked")).changed == ()
    assert commit_of(str(tmp_path / "linked")).id != first
    git(tree, "checkout", "-q", "--detach")
    assert commit_of(str(tree)).id == first


def test_repositories_with_sha256(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256")
    (tmp_path / "train.py").touch()
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    found = commit_of(str(tmp_path))
    assert len(found.id) == 64 and found.changed == ()


def test_nothing_of_the_repository_runs(tree: Path, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho ran >> {witness}\ncat\n")
    program.chmod(0o755)
    for name in ("post-index-change", "reference-transaction", "post-checkout", "fsmonitor-watchman"):
        shutil.copy(program, tree / ".git" / "hooks" / name)
    for key in (
        "core.fsmonitor",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "core.sshCommand",
        "core.pager",
        "diff.external",
        "diff.evil.textconv",
        "core.gitProxy",
        "alias.status",
    ):
        git(tree, "config", key, f"!{program}" if key.startswith("alias") else str(program))
    (tree / ".gitattributes").write_text("* filter=evil diff=evil\n")
    witness.unlink(missing_ok=True)
    git(tree, "status")
    assert witness.exists(), "git itself runs nothing either, so that this shows nothing"
    witness.unlink()
    assert commit_of(str(tree)).changed == (".gitattributes",)
    assert not witness.exists()


def test_configuration_includes_nothing(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('[remote "origin"]\nurl = https://example.org/secret\n')
    git(tree, "config", "include.path", str(tmp_path / "secret"))
    assert commit_of(str(tree)).uri == ""


def test_submodules_count_by_their_commit(tree: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "file").touch()
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "one")
    git(tree, "submodule", "add", "-q", str(inner), "module")
    git(tree, "config", "-f", ".gitmodules", "submodule.module.ignore", "all")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "two")
    assert commit_of(str(tree)).changed == ()
    (tree / "module" / "file").write_text("x")
    git(tree / "module", "commit", "-qam", "three")
    assert commit_of(str(tree)).changed == ("module",)


def test_files_of_git_lfs_are_what_their_pointers_say(tree: Path) -> None:
    data = b"weights" * 100
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(data).hexdigest()}\nsize {len(data)}\n"
    )
    (tree / "large.bin").write_text(pointer)
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "two")
    assert commit_of(str(tree)).changed == ()
    (tree / "large.bin").write_bytes(data)
    assert commit_of(str(tree)).changed == ()
    (tree / "large.bin").write_bytes(data + b"!")
    assert commit_of(str(tree)).changed == ("large.bin",)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "ref: refs/heads/none",
        "ref: ../../outside",
        "f" * 40,
        "ref: refs/heads/main\0",
        "ref: refs/heads/loop",
        "x" * 100,
    ],
)
def test_heads_that_lead_nowhere(tree: Path, head: str) -> None:
    (tree / ".git" / "refs" / "heads" / "loop").write_text("ref: refs/heads/loop\n")
    (tree / ".git" / "HEAD").write_text(head)
    with pytest.raises(UsageError) as error:
        commit_of(str(tree))
    assert "\n" not in str(error.value)


def test_where_there_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match="not in a working tree"):
            commit_of(str(path))
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(UsageError, match="cannot be read"):
        commit_of(str(tmp_path))
    (tmp_path / ".git").write_text("something else")
    with pytest.raises(UsageError, match="names no repository"):
        commit_of(str(tmp_path))


def test_where_there_is_no_git(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match="there is no git"):
        commit_of(str(tree))


def test_what_the_environment_says_of_repositories_means_nothing(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "false")
    assert commit_of(str(tree)).changed == ()


def test_submodules_must_be_as_their_own_commits_say(tree: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "file.py").touch()
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "one")
    git(tree, "submodule", "add", "-q", str(inner), "module")
    git(tree, "commit", "-qm", "two")
    (tree / "module" / "file.py").write_text("import evil\n")
    (tree / "module" / "more.py").touch()
    assert commit_of(str(tree)).changed == ("module/file.py", "module/more.py")
    shutil.rmtree(tree / "module")
    (tree / "module").mkdir()
    assert commit_of(str(tree)).changed == ()
    (tree / "module" / "more.py").touch()
    assert commit_of(str(tree)).changed == ("module",)
    shutil.rmtree(tree / "module")
    git(tree, "init", "-q", "module")
    assert "module" in commit_of(str(tree)).changed


def test_what_git_would_expand_is_compared_too(tree: Path) -> None:
    (tree / ".gitattributes").write_text("*.py ident\n")
    (tree / "train.py").write_text('name = "$Id$"\n')
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "two")
    assert commit_of(str(tree)).changed == ()
    (tree / "train.py").write_text('name = "$Id: " + evil() + "$"\n')
    assert commit_of(str(tree)).changed == ("train.py",)
