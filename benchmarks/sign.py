"""Measures `garrison sign` and `garrison verify` beside `model_signing`, on the same models in one run.

    python benchmarks/sign.py                       # one file of 4 GB, twenty of 200 MB, 20,000 of 4 KiB
    python benchmarks/sign.py --inputs many --runs 9

Whole commands are measured, start-up included, each with its own defaults and the same key. Both take turns, so that a
machine whose speed drifts treats them alike; a ratio is the median of those of the turns. Models are made once, under
`--work`, of random bytes, and read once before the first turn. garrison also verifies what model_signing signed; the
other way large models would have to be signed with SHA-256, which is all that the command model_signing verifies.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from measurement import HERE, Peer, Run, prepare, run

PROGRAMS = {
    "garrison": ["."],
    # Its own install lacks pyOpenSSL.
    "model_signing": ["model-signing==1.1.1", "pyOpenSSL>=26"],
}
SIGN = {
    "garrison": ["garrison", "sign", "{path}", "--key", "{key}", "--signature", "{signature}", "--quiet"],
    "model_signing": [
        "model_signing", "sign", "key", "{path}", "--private_key", "{key}", "--signature", "{signature}",
    ],
}  # fmt: skip
VERIFY = {
    "garrison": ["garrison", "verify", "{path}", "--public-key", "{key}.pub", "--signature", "{signature}", "--quiet"],
    "model_signing": [
        "model_signing", "verify", "key", "{path}", "--public_key", "{key}.pub", "--signature", "{signature}",
    ],
}  # fmt: skip
INPUTS = {
    "large": ("one file of 4 GB", 1, 4_000_000_000, 1),
    "several": ("twenty files of 200 MB", 20, 200_000_000, 20),
    "many": ("20,000 files of 4 KiB", 20_000, 4096, 100),
}
"""What it is, how many files, bytes of each, and how many lie in one directory."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="where environments and models are kept")
    parser.add_argument("--inputs", nargs="*", choices=list(INPUTS), default=list(INPUTS))
    parser.add_argument("--runs", type=int, default=5, help="turns of each command on each model")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one run")
    parser.add_argument("--keep", action="store_true", help="do not delete the models afterwards")
    options = parser.parse_args()
    programs = {name: prepare(wanted, options.work / f"sign-{name}") for name, wanted in PROGRAMS.items()}
    key = options.work / "sign.key"
    if not key.exists():
        generate = [programs["garrison"] / "garrison", "key", "generate", "--output", key]
        subprocess.run(generate, check=True, stdout=subprocess.DEVNULL)
    print("| model | command | garrison s, CPU s, MiB | model_signing s, CPU s, MiB | times as fast |")
    print("|---|---|---|---|---|")
    for name in options.inputs:
        model = options.work / "models" / name
        try:
            _make(name, model)
            _measure(options, programs, key, name, model)
        finally:
            if not options.keep:
                shutil.rmtree(model, ignore_errors=True)


def _make(name: str, model: Path) -> None:
    """Random bytes, which are then in the page cache as far as there is room."""
    _, count, size, together = INPUTS[name]
    if not model.exists():
        draft = model.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        for number in range(count):
            path = draft / f"{number // together:03}" / f"{number % together:03}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for start in range(0, size, 1 << 24):
                    file.write(os.urandom(min(1 << 24, size - start)))
        draft.rename(model)
        os.sync()
    for path in sorted(model.rglob("*.bin")):
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def _measure(options: argparse.Namespace, programs: dict[str, Path], key: Path, name: str, model: Path) -> None:
    signatures = {tool: options.work / f"{name}-{tool}.sig" for tool in PROGRAMS}
    runs: dict[tuple[str, str], list[Run]] = {}
    for _ in range(options.runs):
        for command, lines in (("sign", SIGN), ("verify", VERIFY)):
            for tool, line in lines.items():
                one = _run(tool, line, programs[tool], model, key, signatures[tool], options.limit)
                runs.setdefault((command, tool), []).append(one)
    _run("garrison", VERIFY["garrison"], programs["garrison"], model, key, signatures["model_signing"], options.limit)
    for command in ("sign", "verify"):
        ours, theirs = runs[command, "garrison"], runs[command, "model_signing"]
        ratio = statistics.median(two.wall / one.wall for one, two in zip(ours, theirs, strict=True))
        print(f"| {INPUTS[name][0]} | {command} | {_cell(ours)} | {_cell(theirs)} | {ratio:.1f} |", flush=True)


def _run(tool: str, line: list[str], programs: Path, model: Path, key: Path, signature: Path, limit: float) -> Run:
    command = [part.format(path=model, key=key, signature=signature) for part in line]
    one = run(Peer(tool, [], command, flagged=[1], clean=[0]), programs, model, limit=limit)
    if one.verdict != "clean":
        sys.exit(f"{' '.join(command)}: {one.verdict}")
    return one


def _cell(runs: list[Run]) -> str:
    wall, cpu = (statistics.median(getattr(one, figure) for one in runs) for figure in ("wall", "cpu"))
    return f"{wall:.2f}, {cpu:.2f}, {max(one.memory for one in runs):.0f}"


if __name__ == "__main__":
    main()
