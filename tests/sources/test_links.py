"""What a symbolic link out of a directory is taken for."""

import pytest

from garrison.sources.worker import link_fact


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("/root/.pyenv/versions/3.11.7/bin/python3.11", "link-out-of-directory"),
        ("/usr/bin/python3", "link-out-of-directory"),
        ("/root/.ssh/bin/python3", "escaping-link"),
        ("/root/bin/python3-keys", "escaping-link"),
        ("/root/bin/3", "escaping-link"),
        ("/root/python3", "escaping-link"),
        ("/etc/shadow", "escaping-link"),
    ],
)
def test_interpreters_are_ordinary_and_what_the_system_keeps_is_not(target: str, rule: str) -> None:
    assert link_fact(target).what == rule
