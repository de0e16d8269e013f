"""Measures garrison's attacks and defences beside those of other libraries: same models, same images, same seeds.

    python benchmarks/robustness.py [--part evasion extraction] [--fashion-mnist DIR] [--adult DIR] [--inputs 1000]

Each part and library is one process with one thread, in the library's own environment; CPU seconds are those of what is
measured, without imports. The models are trained once. Fashion-MNIST is the Debian package dataset-fashion-mnist, and
Adult, for membership inference, a folder with `adult-train.csv` and `adult-test.csv`.
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

PARTS = ("evasion", "extraction", "hardening", "membership", "detection", "sequences")
TASKS = HERE / "robustness_tasks"
SECONDS = "CPU s"
LOWER = {"robust accuracy", "median L2", "honest flagged", "microseconds", SECONDS}
HIGHER = {
    "fidelity",
    "robust points gained",
    "gained for each lost",
    "AUC",
    "AUROC",
    "TPR at 0.1% FPR",
    "TPR at 1% FPR",
}
"""Measures of which less is better, and more."""
NOISE = 0.05
"""A time that is this much longer is no difference."""

Numbers = dict[str, float | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=PARTS)
    parser.add_argument("--fashion-mnist", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--adult", type=Path, help="without it, membership inference leaves the table out")
    parser.add_argument("--inputs", type=int, default=1000, help="test images for PGD")
    parser.add_argument("--seeds", type=int, default=3, help="runs of PGD and Square, each with a seed of its own")
    parser.add_argument("--trained", type=int, default=10_000, help="training images for hardening")
    parser.add_argument("--work", type=Path, default=HERE / "work", help="where environments and models are kept")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds for one library in one part")
    parser.add_argument(
        "--python", action="append", default=[], metavar="LIBRARY=PATH", help="an interpreter that has it already"
    )
    options = parser.parse_args()
    table: dict[str, Any] = tomllib.loads((HERE / "attackers.toml").read_text())
    given = dict(one.split("=", 1) for one in options.python)
    work = options.work.resolve()

    def python(name: str) -> str:
        if name in given:
            return given[name]
        library = table[name]
        bare = library.get("without_dependencies", ())
        return str(prepare(library["requirements"], work / f"robustness-{name}", bare) / "python")

    world = work / "world"
    settings = {name: getattr(options, name) for name in ("inputs", "seeds", "trained")}
    settings["adult"] = str(options.adult.resolve()) if options.adult else None
    made = [python("garrison"), str(TASKS / "world.py"), str(world), str(options.fashion_mnist), json.dumps(settings)]
    subprocess.run(made, check=True, env=_environment({}))
    for part in options.part:
        measured: dict[str, Numbers] = {}
        for name, library in table.items():
            if part in library["parts"]:
                command = [python(name), str(TASKS / f"{part}.py"), name, str(world)]
                print(f"{part}: {name}", file=sys.stderr)
                measured[name] = _run(command, library.get("environment", {}), options.limit)
        _show(part, measured)


def _environment(more: dict[str, str]) -> dict[str, str]:
    """One thread, and no accelerator."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **more}


def _run(command: list[str], environment: dict[str, str], limit: float) -> Numbers:
    """What a task has printed last, though it may not have ended well or in time."""
    process = subprocess.Popen(
        command, env=_environment(environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        errors = f"ended after {limit:.0f} s"
    if process.returncode:
        print(f"{' '.join(command[1:3])}: {errors.strip().splitlines()[-1:]}", file=sys.stderr)
    lines = [line for line in output.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


def _show(part: str, measured: dict[str, Numbers]) -> None:
    """A row for each thing done by each library, with its time against garrison's, and where garrison is behind."""
    rows: dict[str, dict[str, Numbers]] = {}
    for library, numbers in measured.items():
        for name, value in numbers.items():
            what, _, measure = name.rpartition(": ")
            rows.setdefault(what, {}).setdefault(library, {})[measure] = value
    measures = list(dict.fromkeys(name.rpartition(": ")[2] for numbers in measured.values() for name in numbers))
    print(f"\n### {part.capitalize()}\n")
    print(f"| | library | {' | '.join(measures)} | {SECONDS}, garrison = 1 |")
    print(f"|---|---|{'---|' * len(measures)}---|")
    behind = []
    for what, by in rows.items():
        own = by.get("garrison", {})
        for library, numbers in by.items():
            theirs, ours = numbers.get(SECONDS), own.get(SECONDS)
            ratio = f"{theirs / ours:.2f}" if theirs and ours else ""
            print(f"| {what} | {library} | {' | '.join(_text(numbers.get(one)) for one in measures)} | {ratio} |")
        others = [numbers for library, numbers in by.items() if library != "garrison"]
        behind += [f"{what}: {one}" for one in measures if _behind(one, own, others)]
    print("\nWhere a library is better than garrison: " + ("; ".join(behind) or "nowhere") + ".", flush=True)


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _behind(measure: str, own: Numbers, others: list[Numbers]) -> bool:
    """Whether one of the others is better."""
    ours = own.get(measure)
    theirs = [value for numbers in others if (value := numbers.get(measure)) is not None]
    if ours is None or not theirs or measure not in LOWER | HIGHER:
        return False
    if measure in HIGHER:
        return ours < max(theirs)
    return ours > min(theirs) * (1 + (NOISE if measure == SECONDS else 0))


if __name__ == "__main__":
    main()
