"""Go's modules: what takes part in the build, after replacements."""

import pytest
from hypothesis import given, settings

from garrison.core.facts import Artifact, Package, Requirement
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

MODULE = b"""module example.org/demo // ours

go 1.21

toolchain go1.21.5

require github.com/Azure/azure-sdk v68.0.0+incompatible

require (
	github.com/gin-gonic/gin v1.9.1
	"golang.org/x/net" v0.10.0 // indirect
	github.com/old/thing v1.0.0
	github.com/local/thing v1.0.0 // indirect; kept
	github.com/bad/thing v1.0.0
)

replace github.com/old/thing => github.com/new/thing/v2 v2.1.0

replace (
	github.com/local/thing v1.0.0 => ../thing
	github.com/gin-gonic/gin v1.0.0 => github.com/evil/gin v1.0.0
)

exclude github.com/bad/thing v1.0.0

retract [v0.1.0, v0.2.0]

tool golang.org/x/tools/cmd/stringer
"""
SUMS = b"""github.com/gin-gonic/gin v1.9.1 h1:%s=
github.com/gin-gonic/gin v1.9.1/go.mod h1:%s=
""" % (b"A" * 43, b"B" * 43)


def test_modules_of_the_build() -> None:
    facts = facts_of(MODULE, "go.mod")
    found = {fact.name: fact for fact in facts if isinstance(fact, Package)}
    assert sorted(found) == [
        "github.com/Azure/azure-sdk", "github.com/gin-gonic/gin", "github.com/new/thing/v2", "golang.org/x/net",
    ]  # fmt: skip
    azure, net = found["github.com/Azure/azure-sdk"], found["golang.org/x/net"]
    assert azure.version == "v68.0.0+incompatible" and azure.direct is True and azure.place == "line 7"
    assert net.direct is False and net.purl == "pkg:golang/golang.org/x/net@v0.10.0"
    assert found["github.com/gin-gonic/gin"].version == "v1.9.1"
    assert [(fact.name, fact.source) for fact in facts if isinstance(fact, Requirement)] == [
        ("github.com/local/thing", "../thing")
    ]
    details = next(fact.details for fact in facts if isinstance(fact, Artifact))
    assert details == {"packages": 4, "module": "example.org/demo", "go": "1.21", "toolchain": "go1.21.5"}


def test_checksums_tell_how_many_modules() -> None:
    facts = facts_of(SUMS, "go.sum")
    assert [fact.details for fact in facts if isinstance(fact, Artifact)] == [{"modules": 1}]
    assert findings_of(SUMS, "go.sum") == []
    assert [item.rule for item in findings_of(SUMS + b"what is this\n", "go.sum")] == ["malformed"]


@pytest.mark.parametrize("text", [b"hello world\n", b"go 1.21\n", b"module a\nrequires b v1\n"])
def test_what_go_would_not_read_is_said(text: bytes) -> None:
    assert examine_bytes(text, "go.mod")[-1].state != "examined"


@settings(deadline=None)
@given(damaged(MODULE, SUMS))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "go.mod")
    assert_no_failure(data, "go.sum")
