"""Asks the real tools how pairs of versions compare, and writes the answers beside this file.

    python tests/dependencies/versions/record.py dpkg|rpm|apk|npm

dpkg and rpm are Debian's; `apk` is Alpine's (`apk version -t`); npm needs the package `semver` where node finds it.
Each line of a table is `LEFT RIGHT ANSWER`: `<`, `=`, `>`, or `!` where the tool refuses one of the two.
"""

import json
import pathlib
import random
import subprocess
import sys
from collections.abc import Callable, Iterator

PAIRS = 2000
Pair = tuple[str, str]


def main(tool: str) -> None:
    pairs = list(_pairs(tool))
    answers = TOOLS[tool](pairs)
    lines = [f"{left} {right} {answer}\n" for (left, right), answer in zip(pairs, answers, strict=True)]
    table = pathlib.Path(__file__).with_name(f"{tool}.txt")
    table.write_text("".join(sorted(set(lines))), encoding="ascii")


def _pairs(tool: str) -> Iterator[Pair]:
    """Pairs that share a beginning more often than not, so that the end decides."""
    chance = random.Random(tool)
    parts = PARTS[tool].split()

    def some() -> list[int]:
        return [chance.randrange(len(parts)) for _ in range(chance.randrange(4))]

    def version(start: str, chosen: list[int]) -> str:
        # The tools that refuse much get most of their versions in the order of their grammar.
        ordered = sorted(set(chosen)) if tool in STRICT and chance.random() < 0.95 else chosen
        return start + "".join(parts[number] for number in ordered)

    for _ in range(PAIRS):
        start, common = chance.choice(STARTS[tool]), some()
        yield version(start, common + some()), version(start, common + some())


def _dpkg(pairs: list[Pair]) -> list[str]:
    return [_dpkg_pair(*pair) for pair in pairs]


def _dpkg_pair(left: str, right: str) -> str:
    for operator, answer in (("lt", "<"), ("eq", "="), ("gt", ">")):
        done = subprocess.run(["dpkg", "--compare-versions", left, operator, right], capture_output=True, check=False)
        if b"error" in done.stderr:
            return "!"
        if done.returncode == 0:
            return answer
    raise AssertionError((left, right))


def _rpm(pairs: list[Pair]) -> list[str]:
    """As rpm compares packages: epoch, version and release one after the other."""
    lines = "\n".join(f'print(rpm.vercmp("{left}", "{right}"), " ")' for left, right in pairs)
    done = subprocess.run(["rpm", "--eval", f"%{{lua:{lines}}}"], capture_output=True, text=True, check=True)
    return [{"-1": "<", "0": "=", "1": ">"}[line] for line in done.stdout.split()]


def _apk(pairs: list[Pair]) -> list[str]:
    return [_apk_pair(*pair) for pair in pairs]


def _apk_pair(left: str, right: str) -> str:
    for one in (left, right):
        if subprocess.run(["apk", "version", "--check", one], capture_output=True, check=False).returncode:
            return "!"
    done = subprocess.run(["apk", "version", "-t", left, right], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _npm(pairs: list[Pair]) -> list[str]:
    script = (
        "const s=require('semver');for(const [a,b] of JSON.parse(process.argv[1]))"
        "console.log(s.valid(a)&&s.valid(b)?'<=>'[s.compare(a,b)+1]:'!')"
    )
    done = subprocess.run(["node", "-e", script, json.dumps(pairs)], capture_output=True, text=True, check=True)
    return done.stdout.split()


TOOLS: dict[str, Callable[[list[Pair]], list[str]]] = {"dpkg": _dpkg, "rpm": _rpm, "apk": _apk, "npm": _npm}
STRICT = ("apk", "npm")
STARTS = {
    "dpkg": ("1", "0", "1:2", "2.0", "1.1-1"),
    "rpm": ("1", "0", "1:2", "2.0", "1.1-1"),
    "apk": ("1", "0.0", "2.0", "10"),
    "npm": ("1.0.0", "1.2.1", "0.0.1", "10.2.0"),
}
PARTS = {
    "dpkg": ". - ~ + 0 1 10 01 a rc ~rc1 +deb12u1 ubuntu0.1 : A .0 -1",
    "rpm": ". _ ~ ^ 0 1 10 01 a rc ~rc1 ^git1 el8 Z .0 -1 -2.el9",
    "apk": ".0 .1 .01 .10 .010 .00 a _alpha _alpha2 _pre2 _rc1 _p _p1 _git2020 _cvs _svn _hg1 _foo ~ab12 -r0 -r1 -r10",
    "npm": "-alpha -1 -rc.1 -0 -A .beta-1 .0 .1 .A .b .10 .01 -- +c",
}

if __name__ == "__main__":
    main(sys.argv[1])
