"""Explicit lists: an address says all."""

from hypothesis import given, settings

from garrison.core.facts import Package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

LOCK = b"""# This file may be used to create an environment using:
# platform: linux-64
@EXPLICIT
https://conda.anaconda.org/conda-forge/linux-64/python-3.10.12-hd12c33a_0_cpython.conda#eb6f1df105f37daedd6dca78523baa75
https://repo.anaconda.com/pkgs/main/noarch/tzdata-2024a-h04d1e81_0.tar.bz2
https://conda.anaconda.org/t/SECRETTOKEN/ours/linux-64/py_x-1.0-0.conda#sha256:%s
# pip requests @ https://files.pythonhosted.org/packages/70/requests-2.31.0-py3-none-any.whl#sha256=%s
""" % (b"a" * 64, b"b" * 64)


def packages(data: bytes) -> list[Package]:
    return [fact for fact in facts_of(data, "spec-file.txt") if isinstance(fact, Package)]


def test_what_addresses_tell() -> None:
    python, zones, ours, requests = packages(LOCK)
    assert python.purl == (
        "pkg:conda/python@3.10.12?build=hd12c33a_0_cpython&channel=conda-forge&subdir=linux-64&type=conda"
    )
    assert python.hashes == ("md5:eb6f1df105f37daedd6dca78523baa75",) and python.place == "line 4"
    assert (zones.name, zones.version) == ("tzdata", "2024a")
    assert ours.name == "py_x" and ours.hashes == ("sha256:" + "a" * 64,) and "SECRET" not in repr(ours)
    assert (requests.ecosystem, requests.version, requests.hashes) == ("pypi", "2.31.0", ("sha256:" + "b" * 64,))


def test_other_hosts_are_said() -> None:
    other = LOCK.replace(b"https://conda.anaconda.org/conda-forge", b"https://example.org/channel")
    assert packages(other)[0].source == "https://example.org/channel"
    assert "package-source" in [item.rule for item in findings_of(other, "spec.txt")]


def test_other_lines_are_counted_and_prose_is_no_list() -> None:
    assert "lock-incomplete" in [item.rule for item in findings_of(LOCK + b"numpy\n", "spec.txt")]
    assert "conda-explicit" not in examine_bytes(b"An\n@EXPLICIT\nlist\n", "a.txt")[-1].formats


@settings(deadline=None)
@given(damaged(LOCK))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "spec.txt")
