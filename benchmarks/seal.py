"""Measures `garrison seal` and `garrison open` beside `age` and `pyrage`: one large file, whole commands, one run.

    python benchmarks/seal.py --folder /dev/shm/sealing   # without --folder, on the disk below --work

The tools take turns, so that a machine whose speed drifts treats them alike; medians of `--runs` are printed. Before
that each opens what each other sealed, and the result must be the input.
"""

import argparse
import filecmp
import os
import shutil
import statistics
import tomllib
from pathlib import Path
from typing import Any

from measurement import HERE, Peer, Run, prepare, run

IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
"""The example of the specification."""
ACTIONS = ("seal", "open")
PART = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="where environments are kept")
    parser.add_argument("--folder", type=Path, help="where the files are written, and removed afterwards")
    parser.add_argument("--size", type=int, default=2000, help="megabytes of the file")
    parser.add_argument("--runs", type=int, default=5, help="runs of each tool")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one run")
    options = parser.parse_args()
    table: dict[str, Any] = tomllib.loads((HERE / "sealers.toml").read_text())
    programs = {
        name: prepare(tool["requirements"], options.work / name) if tool["requirements"] else Path("nowhere")
        for name, tool in table.items()
    }
    folder = options.folder or options.work / "sealing"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _measure(table, programs, folder, options)
    finally:
        shutil.rmtree(folder)


def _measure(table: dict[str, Any], programs: dict[str, Path], folder: Path, options: argparse.Namespace) -> None:
    _write(folder / "input", options.size)
    (folder / "identity").write_text(f"# public key: {RECIPIENT}\n{IDENTITY}\n")
    for sealer in table:
        _run(sealer, "seal", table, programs, folder, options)
        for opener in table:
            _run(opener, "open", table, programs, folder, options)
            if not filecmp.cmp(folder / "input", folder / "opened", shallow=False):
                raise SystemExit(f"{opener} makes something else of what {sealer} sealed")
    print(f"One file of {options.size} MB, medians of {options.runs} runs.\n")
    print("| | tool | wall s | CPU s | peak MiB | wall, garrison = 1 |")
    print("|---|---|---|---|---|---|")
    measured: dict[tuple[str, str], list[Run]] = {}
    names = list(table)
    for turn in range(options.runs):
        for action in ACTIONS:
            # Who comes first finds the memory as the others left it, so that each is first by turns.
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                one = _run(name, action, table, programs, folder, options)
                measured.setdefault((action, name), []).append(one)
    for action, name in ((action, name) for action in ACTIONS for name in table):
        runs = measured[action, name]
        wall = statistics.median(one.wall for one in runs)
        cpu = statistics.median(one.cpu for one in runs)
        memory = max(one.memory for one in runs)
        ratio = statistics.median(
            theirs.wall / ours.wall for theirs, ours in zip(runs, measured[action, "garrison"], strict=True)
        )
        print(f"| {action} | {name} | {wall:.2f} | {cpu:.2f} | {memory:.0f} | {ratio:.2f} |")


def _run(
    name: str,
    action: str,
    table: dict[str, Any],
    programs: dict[str, Path],
    folder: Path,
    options: argparse.Namespace,
) -> Run:
    """One command, on a file that is not there yet."""
    output = folder / {"seal": "sealed", "open": "opened"}[action]
    output.unlink(missing_ok=True)
    values = {
        "input": folder / "input",
        "sealed": folder / "sealed",
        "identity": folder / "identity",
        "recipient": RECIPIENT,
        "output": output,
    }
    command = [part.format(**values) if part.startswith("{") else part for part in table[name][action]]
    one = run(Peer(name, [], command, flagged=[], clean=[0]), programs[name], folder, limit=options.limit)
    if one.verdict != "clean":
        raise SystemExit(f"{name} {action}: {one.verdict}")
    return one


def _write(path: Path, megabytes: int) -> None:
    with path.open("wb") as file:
        for at in range(0, megabytes * 1_000_000, PART):
            file.write(os.urandom(min(PART, megabytes * 1_000_000 - at)))


if __name__ == "__main__":
    main()
