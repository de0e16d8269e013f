"""Packages of the team's own must not be taken from where anybody can register their names."""

import pytest

from garrison.core.policy import PackagePolicy, Policy
from tests.support import findings_of, worst

POLICY = Policy(packages=PackagePolicy(private=("acme-*", "Secret_Sauce")))
OURS = "https://packages.acme.example/simple"


def severity(files: dict[str, bytes], policy: Policy = POLICY) -> str:
    return worst([item for item in findings_of(files, policy=policy) if item.rule == "dependency-confusion"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"--extra-index-url {OURS}\nacme-core==1\n", "high"),
        (f"--extra-index-url {OURS}\nAcme_Core==1\n", "high"),
        (f"--extra-index-url {OURS}\nsecret.sauce\n", "high"),
        (f"--extra-index-url {OURS}\nnumpy==1\n", "none"),
        (f"--index-url {OURS}\nacme-core==1\n", "none"),
        (f"--index-url {OURS}\n--extra-index-url https://pypi.org/simple\nacme-core==1\n", "high"),
        (f"--index-url {OURS}\n--extra-index-url https://download.pytorch.org/whl/cu121\nacme-core==1\n", "none"),
        ("--index-url https://pypi.org/simple\nacme-core==1\n", "high"),
        ("acme-core==1\n", "medium"),
        ("--no-index\n--find-links wheels\nacme-core==1\n", "none"),
        (f"acme-core @ {OURS}/acme_core-1-py3-none-any.whl\n", "none"),
        ("acme-core @ https://files.pythonhosted.org/packages/acme_core-1-py3-none-any.whl\n", "high"),
        ("-e ./acme\n", "none"),
    ],
)
def test_requirements_files(text: str, expected: str) -> None:
    assert severity({"requirements.txt": text.encode()}) == expected


def test_without_a_policy_nothing_is_private() -> None:
    assert severity({"requirements.txt": f"--extra-index-url {OURS}\nacme-core==1\n".encode()}, Policy()) == "none"


def test_indexes_count_for_all_files_that_are_read_together() -> None:
    files = {"requirements.txt": f"--index-url {OURS}\n-r base.txt\n".encode(), "base.txt": b"acme-core==1\nx>=1\n"}
    assert severity(files) == "none"


PROJECT = '[project]\nname = "x"\nversion = "1"\ndependencies = ["acme-core"]\n'


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (f'[[tool.uv.index]]\nname = "acme"\nurl = "{OURS}"\n', "low"),
        (f'[[tool.uv.index]]\nname = "acme"\nurl = "{OURS}"\ndefault = true\n', "none"),
        (
            f'[[tool.uv.index]]\nname = "acme"\nurl = "{OURS}"\nexplicit = true\n'
            '[tool.uv.sources]\nacme-core = {index = "acme"}\n',
            "none",
        ),
        (f'[[tool.pdm.source]]\nname = "acme"\nurl = "{OURS}"\n', "high"),
        (f'[[tool.poetry.source]]\nname = "acme"\nurl = "{OURS}"\npriority = "secondary"\n', "high"),
        ("", "medium"),
    ],
)
def test_projects(tables: str, expected: str) -> None:
    assert severity({"pyproject.toml": (PROJECT + tables).encode()}) == expected


@pytest.mark.parametrize(("registry", "expected"), [("https://pypi.org/simple", "high"), (OURS, "none")])
def test_locks(registry: str, expected: str) -> None:
    lock = f'version = 1\n\n[[package]]\nname = "acme-core"\nversion = "1.0"\nsource = {{ registry = "{registry}" }}\n'
    assert severity({"uv.lock": lock.encode()}) == expected
