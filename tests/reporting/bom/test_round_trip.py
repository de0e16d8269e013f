"""What a bill says comes back when it is scanned."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from garrison.core.facts import AnyFact, Description, Examination, Package
from garrison.dependencies.licences import expression
from garrison.dependencies.purl import purl
from garrison.describing import written
from tests.support import examine_bytes, facts_of

from .trees import REPOSITORY, bill_of, report_of, report_on

FORMATS = {"cyclonedx": "bom.json", "cyclonedx-1.7": "bom.json", "spdx": "bill.spdx.json"}
UV_LOCK = """
version = 1
[[package]]
name = "app"
version = "1.0"
source = { virtual = "." }
dependencies = [{ name = "numpy" }]
[[package]]
name = "numpy"
version = "1.26.4"
source = { registry = "https://pypi.org/simple" }
sdist = { url = "https://files.pythonhosted.org/numpy.tar.gz", hash = "sha256:HASH" }
[[package]]
name = "inner"
version = "0.1"
source = { registry = "https://packages.example.org/simple" }
""".replace("HASH", "a" * 64)
NPM_LOCK = {
    "name": "web",
    "lockfileVersion": 3,
    "packages": {
        "": {"dependencies": {"@scope/left": "^1.0"}},
        "node_modules/@scope/left": {"version": "1.0.1", "license": "MIT", "dependencies": {"right": "2"}},
        "node_modules/right": {"version": "2.0.0", "license": "(MIT OR Apache-2.0)", "dev": True},
    },
}
DPKG = """Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.11-1~deb12u2

"""
FILES = {
    "app/uv.lock": UV_LOCK.encode(),
    "app/requirements.txt": b"scikit-learn==1.5.0 --hash=sha256:" + b"b" * 64 + b"\n",
    "web/package-lock.json": json.dumps(NPM_LOCK).encode(),
    "root/etc/os-release": b"ID=debian\nVERSION_ID=12\n",
    "root/var/lib/dpkg/status": DPKG.encode(),
}


def comparable(fact: Package) -> dict[str, Any]:
    """What a bill has room for."""
    licences = sorted({expression(one) or one for one in fact.licences})
    return {
        **{name: getattr(fact, name) for name in ("purl", "ecosystem", "name", "version", "source_name")},
        "hashes": sorted(fact.hashes),
        "licences": licences,
        "dependencies": sorted(fact.dependencies),
    }


def packages(facts: "list[AnyFact] | tuple[AnyFact, ...]") -> list[dict[str, Any]]:
    return sorted((comparable(one) for one in facts if isinstance(one, Package)), key=lambda one: str(one["purl"]))


@pytest.mark.parametrize("format", FORMATS)
def test_packages_come_back_as_they_were(format: str) -> None:
    report = report_of(FILES)
    before = [fact for item in report.inventory for fact in item.facts if isinstance(fact, Package)]
    # What requirements fix comes back as a package too.
    pinned = msgspec.structs.replace(
        before[0],
        purl="pkg:pypi/scikit-learn@1.5.0",
        ecosystem="pypi",
        name="scikit-learn",
        version="1.5.0",
        hashes=("sha256:" + "b" * 64,),
        licences=(),
        dependencies=(),
        source_name="",
    )
    after = facts_of(written(report, format).encode(), FORMATS[format])
    # What the database of a system does not say of itself, the bill has to.
    system = "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl"
    before = [msgspec.structs.replace(one, purl=system) if one.ecosystem == "deb" else one for one in before]
    assert packages(after) == packages([*before, pinned])
    assert [one.distribution for one in after if isinstance(one, Package) and one.ecosystem == "deb"] == ["debian:12"]
    assert len(before) >= 5 and any(one.dependencies for one in before) and any(one.hashes for one in before)


def test_cyclonedx_keeps_groups_sources_and_who_asks() -> None:
    after = {fact.name: fact for fact in facts_of(bill_of(FILES).encode(), "bom.json") if isinstance(fact, Package)}
    assert after["inner"].source == "https://packages.example.org/simple"
    assert after["right"].group == "dev" and after["right"].direct is False
    assert after["@scope/left"].direct is True and after["libssl3"].direct is None


_NAMES = st.text(st.sampled_from("abz09-._+~/@%é "), min_size=1, max_size=8)


@st.composite
def any_packages(draw: st.DrawFn) -> list[Package]:
    from garrison.dependencies.purl import InvalidPackageURL, parse

    found = []
    for kind in draw(st.lists(st.sampled_from(["pypi", "npm", "cargo", "golang", "generic"]), max_size=4)):
        try:
            location = purl(kind, draw(_NAMES), draw(_NAMES))
            parts = parse(location)
        except InvalidPackageURL:
            continue
        if str(parts) == location:
            hashes = tuple(
                draw(st.sets(st.sampled_from(["sha256:" + "a" * 64, "sha3-256:" + "c" * 64, "sha1:" + "d" * 40])))
            )
            name, version = parts.full_name, parts.version
            found.append(
                Package(purl=location, ecosystem=kind, name=name, version=version, state="locked", hashes=hashes)
            )
    return list({one.purl: one for one in found}.values())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(any_packages())
@pytest.mark.parametrize("format", ["cyclonedx", "spdx"])
def test_any_package_comes_back_as_it_was(format: str, given: list[Package]) -> None:
    report = report_on([Examination(subject="lock", formats=["uv-lock"], facts=list(given))], "lock")
    last = examine_bytes(written(report, format).encode(), FORMATS[format])[-1]
    assert last.state == "examined", last.reason
    assert packages(last.facts) == packages(given)


def description(facts: list[AnyFact], name: str) -> Description:
    (found,) = (fact for fact in facts if isinstance(fact, Description) and fact.name == name)
    return msgspec.structs.replace(found, place="", tags=())


def test_a_model_comes_back_with_all_that_was_said_of_it() -> None:
    found = description(facts_of(bill_of(REPOSITORY).encode(), "bom.json"), "tiny")
    assert found.licences == ("Apache-2.0",) and found.task == "text-generation" and found.parameters == 6144
    assert found.element_types == {"F16": 6144} and found.quantisation == ("gptq 4-bit",)
    assert found.frameworks == {"transformers": "4.44.0", "torch": ""} and found.languages == ("en", "de")
    assert found.settings == {"element type": "float16", "layers": "2"} and found.datasets == ("org/corpus",)
    assert found.base_models == ("org/base-7b",) and found.base_relation == "quantized"
    assert found.emissions == {"emissions": "12.5", "source": "codecarbon", "hardware_used": "8 x H100"}
    other = description(facts_of(bill_of(REPOSITORY, "spdx").encode(), "x"), "tiny")
    kept = ("licences", "task", "approach", "family", "architecture", "parameters", "element_types", "quantisation")
    kept += ("frameworks", "settings", "languages", "datasets", "base_models", "base_relation")
    assert {name: getattr(other, name) for name in kept} == {name: getattr(found, name) for name in kept}
    assert other.metrics[0].name == found.metrics[0].name == "accuracy" and other.metrics[0].dataset == "org/eval"


@pytest.mark.parametrize("format", FORMATS)
def test_a_bill_of_a_bill_lists_the_same(format: str) -> None:
    def listed(text: str) -> list[tuple[str, str]]:
        facts = facts_of(text.encode(), FORMATS[format])
        things = [(fact.about, fact.name) for fact in facts if isinstance(fact, Description)]
        return sorted(things + [("package", fact.purl) for fact in facts if isinstance(fact, Package)])

    first = bill_of(REPOSITORY, format)
    assert listed(bill_of({FORMATS[format]: first.encode()}, format)) == listed(first)
    assert ("model", "tiny") in listed(first) and ("package", "pkg:pypi/torch") in listed(first)
