"""Measures `garrison scan` beside its peers, on the same input in one run, and prints ratios.

    python benchmarks/scan.py detection --corpus FOLDER   # labelled files: what is found, false alarms, failures
    python benchmarks/scan.py cost                        # large honest files and bombs: wall, CPU, memory

`FOLDER` holds a `manifest.tsv` with the columns `path`, `label` (malicious, suspicious or benign), `category`.
Environments and inputs are made once, under `--work`. The scanners take turns on each input, so that a machine whose
speed drifts treats them alike; the median of `--runs` is printed. No file is ever loaded.
"""

import argparse
import collections
import csv
import json
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

from measurement import HERE, Peer, Run, peers, prepare, run
from workloads import NAMES, REQUIREMENTS

LABELS = ("malicious", "suspicious", "benign")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("detection", "cost"))
    parser.add_argument("--corpus", type=Path, help="folder with a manifest.tsv")
    parser.add_argument("--work", type=Path, default=HERE / "work", help="where environments and inputs are kept")
    parser.add_argument("--peers", nargs="*", help="only these; garrison is always among them")
    parser.add_argument("--inputs", nargs="*", choices=list(NAMES), help="only these inputs of the cost benchmark")
    parser.add_argument("--runs", type=int, default=3, help="runs of each scanner on each input of the cost benchmark")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds for one run")
    parser.add_argument("--json", type=Path, help="also write every figure here")
    options = parser.parse_args()
    if options.what == "detection" and options.corpus is None:
        parser.error("detection needs --corpus")
    scanners = [
        (peer, prepare(peer.requirements, options.work / peer.name))
        for peer in peers(["garrison", *options.peers] if options.peers else None)
    ]
    measure = _detection if options.what == "detection" else _cost
    figures = measure(options, scanners)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def _detection(options: argparse.Namespace, scanners: list[tuple[Peer, Path]]) -> list[dict[str, object]]:
    with (options.corpus / "manifest.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    figures: list[dict[str, object]] = []
    for row in rows:
        for peer, programs in scanners:
            one = run(peer, programs, options.corpus / row["path"], limit=options.limit)
            figures.append({"peer": peer.name, **row, **vars(one)})
    print("| scanner | " + " | ".join(f"{label} flagged" for label in LABELS), end=" | ")
    print("benign errors | crashes | timeouts | wall, sum s | CPU, sum s | peak MiB |")
    print("|---" * (len(LABELS) + 7) + "|")
    for peer, _ in scanners:
        mine = [figure for figure in figures if figure["peer"] == peer.name]
        verdicts = collections.Counter((figure["label"], figure["verdict"]) for figure in mine)
        totals = collections.Counter(figure["label"] for figure in mine)
        cells = [f"{verdicts[label, 'flagged']}/{totals[label]}" for label in LABELS]
        cells.append(str(verdicts["benign", "error"]))
        cells += [str(sum(verdicts[label, what] for label in LABELS)) for what in ("crash", "timeout")]
        cells += [f"{sum(float(str(figure[key])) for figure in mine):.1f}" for key in ("wall", "cpu")]
        cells.append(f"{max((float(str(figure['memory'])) for figure in mine), default=0):.0f}")
        print(f"| {peer.name} | " + " | ".join(cells) + " |")
    return figures


def _cost(options: argparse.Namespace, scanners: list[tuple[Peer, Path]]) -> list[dict[str, object]]:
    inputs = options.work / "inputs"
    makers = prepare(REQUIREMENTS, options.work / "makers")
    subprocess.run([str(makers / "python"), str(HERE / "workloads.py"), str(inputs)], check=True)
    figures: list[dict[str, object]] = []
    for name in options.inputs or NAMES:
        measured: dict[str, list[Run]] = {peer.name: [] for peer, _ in scanners}
        for _ in range(options.runs):
            for peer, programs in scanners:
                runs = measured[peer.name]
                if not runs or runs[0].verdict != "timeout":
                    runs.append(run(peer, programs, inputs / name, limit=options.limit))
        print(f"\n### {NAMES[name]}\n")
        print("| scanner | verdict | wall s | CPU s | peak MiB | wall, garrison = 1 | CPU, garrison = 1 |")
        print("|---|---|---|---|---|---|---|")
        own = measured["garrison"]
        for peer, _ in scanners:
            runs = measured[peer.name]
            wall, cpu = _median(runs, lambda one: one.wall), _median(runs, lambda one: one.cpu)
            memory = _median(runs, lambda one: one.memory)
            ratios = wall / _median(own, lambda one: one.wall), cpu / _median(own, lambda one: one.cpu)
            verdict = collections.Counter(one.verdict for one in runs).most_common(1)[0][0]
            print(
                f"| {peer.name} | {verdict} | {wall:.3f} | {cpu:.3f} | {memory:.0f} "
                f"| {ratios[0]:.2f} | {ratios[1]:.2f} |"
            )
            figures += [{"input": name, "peer": peer.name, **vars(one)} for one in runs]
    return figures


def _median(runs: list[Run], figure: Callable[[Run], float]) -> float:
    return statistics.median(figure(one) for one in runs)


if __name__ == "__main__":
    main()
