"""Measures `garrison scan` of pinned packages beside other auditors, with the same advisories, and prints ratios.

    python benchmarks/dependencies.py --advisories all.zip [--packages 30 300 3000] [--runs 3]

The projects are made of the advisories' own names and versions, a third of the packages, and of names that nothing is
known of. Names with a fix that is no version are left out, since pip-audit ends with a traceback at them, and names
with a reference that is no address, since uv ends with an error. garrison has a database on disk; the others ask
`osv_server.py` on this machine, which serves the same export from memory and remembers its answers. The auditors take
turns, and the median of the runs is printed.
"""

import argparse
import dataclasses
import json
import random
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from measurement import HERE, Peer, Run, peers, prepare, run

SHARE = 3
"""One package in so many is one that advisories speak of."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--advisories", type=Path, required=True, help="an export of OSV: all.zip of PyPI")
    parser.add_argument("--packages", type=int, nargs="*", default=[30, 300, 3000])
    parser.add_argument("--work", type=Path, default=HERE / "work", help="where environments and inputs are kept")
    parser.add_argument("--runs", type=int, default=3, help="runs of each auditor on each project")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for one run")
    options = parser.parse_args()
    options.work = options.work.resolve()
    auditors = [
        (peer, prepare(peer.requirements, options.work / peer.name)) for peer in peers(file=HERE / "auditors.toml")
    ]
    database = options.work / "advisories.sqlite"
    _index(auditors[0][1], options.advisories, database)
    known = _affected(options.advisories)
    server = subprocess.Popen(
        [sys.executable, str(HERE / "osv_server.py"), str(options.advisories)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        values = {"server": server.stdout.readline().strip(), "database": str(database)}
        for count in options.packages:
            folder = options.work / f"packages-{count}"
            _project(folder, known, count)
            _compare(options, auditors, folder, count, values)
    finally:
        server.kill()
        server.wait()


def _index(programs: Path, advisories: Path, database: Path) -> None:
    started = time.monotonic()
    command = [str(programs / "garrison"), "db", "update", "--fresh", "--from", str(advisories)]
    subprocess.run([*command, "--database", str(database)], check=True, stdout=subprocess.DEVNULL)
    print(f"Indexed {advisories.name} in {time.monotonic() - started:.2f} s, {database.stat().st_size >> 10} KiB")


def _affected(advisories: Path) -> list[tuple[str, list[str]]]:
    """Names with the versions that an advisory lists."""
    found: dict[str, set[str]] = {}
    broken: set[str] = set()
    with zipfile.ZipFile(advisories) as archive:
        for member in archive.namelist():
            document = json.loads(archive.read(member))
            for affected in document.get("affected", ()) if "withdrawn" not in document else ():
                package = affected.get("package", {})
                if package.get("ecosystem") == "PyPI":
                    found.setdefault(package["name"].lower(), set()).update(
                        filter(_is_version, affected.get("versions", ()))
                    )
                    if not all(map(_is_version, _fixes(affected))) or not all(map(_is_address, _pages(document))):
                        broken.add(package["name"].lower())
    return [(name, sorted(versions)) for name, versions in sorted(found.items()) if versions and name not in broken]


def _fixes(affected: dict[str, Any]) -> list[str]:
    ranges = [one for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM"]
    return [event["fixed"] for one in ranges for event in one["events"] if "fixed" in event]


def _pages(document: dict[str, Any]) -> list[str]:
    return [reference["url"] for reference in document.get("references", ())]


def _is_address(text: str) -> bool:
    return "://" in text


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _project(folder: Path, known: list[tuple[str, list[str]]], count: int) -> None:
    """The same packages as pins for pip and as a lock file of uv."""
    chance = random.Random(count)
    chosen = {name: chance.choice(versions) for name, versions in chance.sample(known, count // SHARE)}
    chosen |= {f"known-to-nobody-{n}": f"1.{n % 20}.{n % 7}" for n in range(count - len(chosen))}
    folder.mkdir(parents=True, exist_ok=True)
    pins = [f"{name}=={version}\n" for name, version in sorted(chosen.items())]
    (folder / "requirements.txt").write_text("".join(pins))
    names = ", ".join(f'"{pin.strip()}"' for pin in pins)
    head = '[project]\nname = "measured"\nversion = "0"\nrequires-python = ">=3.11"\n'
    (folder / "pyproject.toml").write_text(f"{head}dependencies = [{names}]\n")
    asked = "".join(f'    {{ name = "{name}" }},\n' for name in sorted(chosen))
    lock = ['version = 1\nrevision = 3\nrequires-python = ">=3.11"\n']
    lock.append(
        f'[[package]]\nname = "measured"\nversion = "0"\nsource = {{ virtual = "." }}\ndependencies = [\n{asked}]\n'
    )
    registry = 'source = { registry = "https://pypi.org/simple" }\n'
    lock += [f'[[package]]\nname = "{name}"\nversion = "{chosen[name]}"\n{registry}' for name in sorted(chosen)]
    (folder / "uv.lock").write_text("\n".join(lock))


def _compare(
    options: argparse.Namespace, auditors: list[tuple[Peer, Path]], folder: Path, count: int, values: dict[str, str]
) -> None:
    measured: dict[str, list[Run]] = {peer.name: [] for peer, _ in auditors}
    findings: dict[str, int | None] = {}
    for _ in range(options.runs):
        for peer, programs in auditors:
            report = folder / f"{peer.name}.json"
            ready = _filled(peer, values | {"folder": str(folder), "report": str(report), "programs": str(programs)})
            report.unlink(missing_ok=True)
            measured[peer.name].append(run(ready, programs, folder, limit=options.limit))
            findings[peer.name] = _findings(report)
    print(f"\n### {count} packages\n")
    print("| auditor | verdict | findings | wall s | CPU s | peak MiB | wall, garrison = 1 |")
    print("|---|---|---|---|---|---|---|")
    own = 0.0
    for peer, _ in auditors:
        runs = measured[peer.name]
        wall = statistics.median(one.wall for one in runs)
        own = wall if peer.name.startswith("garrison") else own
        cpu, memory = (statistics.median(getattr(one, key) for one in runs) for key in ("cpu", "memory"))
        found = "none read" if findings[peer.name] is None else findings[peer.name]
        print(
            f"| {peer.name} | {runs[-1].verdict} | {found} | {wall:.3f} | {cpu:.3f} | {memory:.0f} | {wall / own:.1f} |"
        )


def _filled(peer: Peer, values: dict[str, str]) -> Peer:
    def filled(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    environment = {name: filled(value) for name, value in peer.environment.items()}
    return dataclasses.replace(peer, command=[filled(part) for part in peer.command], environment=environment)


def _findings(report: Path) -> int | None:
    """How many vulnerabilities a report lists, whoever wrote it."""
    try:
        data: dict[str, Any] = json.loads(report.read_text())
    except (OSError, ValueError):
        return None
    if "findings" in data:
        return sum(one["rule"] in ("vulnerable-package", "malicious-package") for one in data["findings"])
    if "dependencies" in data:
        return sum(len(one.get("vulns", ())) for one in data["dependencies"])
    return len(data["vulnerabilities"])


if __name__ == "__main__":
    main()
