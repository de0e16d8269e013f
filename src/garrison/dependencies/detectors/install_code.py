"""Judges what installing a package runs: `setup.py`, build backends of a project's own, scripts of npm and conda."""

from collections.abc import Iterator, Sequence

from garrison.core.facts import EmbeddedCode, Examination
from garrison.core.findings import Finding
from garrison.core.policy import Policy

_PLACES = ("/site-packages/", "/dist-packages/")
"""Where a build backend is installed and is nobody's own."""


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """One finding for each script that installing runs and that does more than builds usually do."""
    for examination in examinations:
        if "install-script" in examination.formats:
            if not any(place in f"/{examination.subject}" for place in _PLACES):
                # Imported where there is something to judge: models have code too, and are scanned more often.
                from garrison.dependencies.install_judgement import of_python

                yield from of_python(examination)
            continue
        for fact in examination.facts:
            if type(fact) is EmbeddedCode and fact.form.startswith(("npm ", "conda ")):
                from garrison.dependencies.install_judgement import of_script

                yield from of_script(examination, fact)
