"""References to what registries hold."""

import pytest

from garrison.core.errors import UsageError
from garrison.sources.oci.reference import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("docker://python", ("docker.io", "library/python", "latest", "")),
        ("docker://python:3.12", ("docker.io", "library/python", "3.12", "")),
        ("docker://team/app", ("docker.io", "team/app", "latest", "")),
        ("oci://ghcr.io/a/b/c:v1", ("ghcr.io", "a/b/c", "v1", "")),
        ("docker://localhost/a", ("localhost", "a", "latest", "")),
        ("docker://localhost:5000/a:1", ("localhost:5000", "a", "1", "")),
        ("docker://[::1]:5000/a", ("[::1]:5000", "a", "latest", "")),
        (f"oci://r.io/a@sha256:{'0' * 64}", ("r.io", "a", "", f"sha256:{'0' * 64}")),
        (f"oci://r.io/a:1@sha256:{'0' * 64}", ("r.io", "a", "1", f"sha256:{'0' * 64}")),
    ],
)
def test_references(text: str, expected: tuple[str, str, str, str]) -> None:
    found = parse(text)
    assert (found.registry, found.repository, found.tag, found.digest) == expected


@pytest.mark.parametrize(
    "text",
    [
        "docker://",
        "docker://A/B",
        "docker://r.io/../x",
        "docker://r.io/a:b:c",
        "docker://r.io/a@sha256:1",
        "oci://r.io/a?b",
        "docker://user:pass@r.io/a",
        "docker://r.io/a\n",
        "docker://r.io /a",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)
