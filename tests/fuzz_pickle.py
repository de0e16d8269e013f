"""Hold the pickle machine against CPython's unpicklers for a while: `python -m tests.fuzz_pickle --minutes 60`.

Prints how many inputs it tried, and writes each that shows a difference to `--failures`.
"""

import argparse
import os
import random
import sys
import time
from pathlib import Path

from tests.artifacts.pickle.generator import pickles
from tests.artifacts.pickle.reference import Reference
from tests.artifacts.pickle.soundness import missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    arguments = parser.parse_args()
    source = random.Random(arguments.seed)
    reference = Reference()
    deadline = time.monotonic() + arguments.minutes * 60
    inputs = gave_up = failures = 0
    try:
        while time.monotonic() < deadline:
            data = pickles(source)
            inputs += 1
            try:
                lost = missing(data, reference)
            except Exception as error:
                lost = {("garrison", repr(error))}
            if lost is None:
                gave_up += 1
            elif lost:
                failures += 1
                arguments.failures.mkdir(exist_ok=True)
                (arguments.failures / f"{arguments.seed}-{inputs}.pkl").write_bytes(data)
                print(f"input {inputs}: {data!r} resolves {sorted(lost)}", flush=True)
                if failures >= 20:
                    break
    finally:
        reference.close()
    print(f"seed {arguments.seed}: {inputs} inputs, {failures} differences, {gave_up} that CPython itself gave up on")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
