import functools
from pathlib import Path
from typing import Any

from garrison.provenance.trust import Refused
from tests.provenance.alterations import Table
from tests.provenance.gate.test_gate import BROKEN, Break, elsewhere
from tests.provenance.gate.world import World, counts, scan, version, why


def _attempt(name: str, broken: Break, folder: Path) -> Any:
    """The decision about one requirement, of which one thing is broken."""
    world = World(folder)
    world.evidence.update(broken(world))
    decision = world.only(name)
    if not decision.met:
        raise Refused(why(decision))
    return decision


def _allowed(broken: Break, folder: Path) -> Any:
    """The decision about a model that passes all the same."""
    world = World(folder)
    world.evidence.update(broken(world))
    decision = world.decide()
    if not decision.allowed:
        raise Refused("\n".join(map(why, decision.requirements)))
    return decision


_HARMLESS: dict[str, Break] = {
    "a stranger's scan beside the others, with critical findings": lambda world: {
        "more": world.said(scan(findings=counts(critical=1)), "stranger")
    },
    "a scan of another model beside the others, with critical findings": lambda world: {
        "more": world.said(scan(findings=counts(critical=1)), "ci", [elsewhere(world)])
    },
    "an older version beside the newer": lambda world: {"more": world.said(version(1), "release")},
    "what is no statement beside the others": lambda _: {"more": b"{"},
}

TABLE = Table(
    title="Evidence at the gate",
    about="Of a model that passes one piece of evidence is replaced, or one is added that speaks against it, each "
    "signed by a key that the policy knows unless the row says otherwise. The requirement it begins with is not met.",
    refused={
        f"{name}: {what}": functools.partial(_attempt, name, broken) for what, (name, broken, _) in BROKEN.items()
    },
    harmless={what: functools.partial(_allowed, broken) for what, broken in _HARMLESS.items()},
)
