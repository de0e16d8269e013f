"""Measures the guard's monitors of drift and of bias beside libraries that do the same, on the same rows.

    python benchmarks/monitors.py [--parts drift fairness] [--seconds 120]
    python benchmarks/monitors.py --python river=~/river/bin/python

Each library has an environment of its own (`monitors.toml`). Drift: a third of scikit-learn's digits is the reference,
rows are drawn from another third and changed after 1,000 of them; the delay counts rows from the change to the first
alarm, false alarms those in a stream without a change. Libraries that know no features of their own get the same
sixteen whitened principal components. Whoever is slow gets fewer seeds in the time that all have; how many is said.
Fairness: the same decisions, labels and groups, and whether the numbers are the same.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from measurement import HERE, prepare

TASKS = HERE / "serving_tasks"
PARTS = ["drift", "fairness"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", choices=PARTS, nargs="*", default=PARTS)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="where environments and inputs are kept")
    parser.add_argument("--seconds", type=int, default=120, help="of CPU for one monitor, before the last stream")
    parser.add_argument(
        "--python", action="append", default=[], metavar="LIBRARY=PATH", help="an interpreter that has it already"
    )
    options = parser.parse_args()
    table: dict[str, Any] = tomllib.loads((HERE / "monitors.toml").read_text())
    given = dict(one.split("=", 1) for one in options.python)
    work = options.work.resolve()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    def asked(name: str, *arguments: object) -> list[dict[str, Any]]:
        python = given.get(name) or prepare(table[name]["requirements"], work / f"monitors-{name}") / "python"
        command = [str(python), *map(str, arguments)]
        process = subprocess.run(command, env=environment, capture_output=True, text=True)
        if process.returncode:
            print(f"{name}: {process.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]

    world = work / "monitors"
    if not (world / "drift.npz").exists():
        world.mkdir(parents=True, exist_ok=True)
        asked("garrison", TASKS / "streams.py", world)
    for part in options.parts:
        found = []
        for name, library in table.items():
            if part in library["parts"]:
                print(f"{part}: {name}", file=sys.stderr)
                found += asked(name, TASKS / f"{part}.py", name, world, options.seconds)
        (drift if part == "drift" else fairness)(found)
        (world / f"{part}.json").write_text(json.dumps(found, indent=1) + "\n")


def drift(found: list[dict[str, Any]]) -> None:
    changes = list(found[0]["delays"])
    print(f"\n### Drift\n\n| monitor | seeds | {' | '.join(changes)} | false alarms in clean rows | CPU µs a row |")
    print("|---|---|" + "---|" * len(changes) + "---|---|")
    for one in found:
        seeds = len(one["delays"][changes[0]])
        cells = " | ".join(_delay(one["delays"][change]) for change in changes)
        print(f"| {one['monitor']} | {seeds} | {cells} | {one['false']} in {one['clean']:,} | {one['cost']:,.1f} |")


def _delay(delays: list[int | None]) -> str:
    """The median, with what missed it as the longest."""
    missed = sum(one is None for one in delays)
    known = sorted(one if one is not None else 10**9 for one in delays)
    median = known[(len(known) - 1) // 2] if known else 10**9
    text = "missed" if median == 10**9 else f"{median:,}"
    return f"{text} ({missed}/{len(delays)} missed)" if missed and median != 10**9 else text


def fairness(found: list[dict[str, Any]]) -> None:
    print("\n### Fairness\n\n| library | rows | demographic parity | equalised odds | ms | garrison = 1 |")
    print("|---|---|---|---|---|---|")
    own = {one["rows"]: one["ms"] for one in found if one["library"] == "garrison"}
    for one in found:
        values = f"{one['demographic_parity']:.6f} | {one['equalised_odds']:.6f}"
        print(
            f"| {one['library']} | {one['rows']:,} | {values} | {one['ms']:.2f} | {one['ms'] / own[one['rows']]:.0f} |"
        )


if __name__ == "__main__":
    main()
