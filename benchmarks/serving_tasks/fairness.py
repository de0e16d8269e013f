"""Fairness of the same decisions by one library: `python fairness.py LIBRARY FOLDER SECONDS`."""

import json
import sys
import time
from pathlib import Path

import numpy as np

library, folder = sys.argv[1], Path(sys.argv[2])
for path in sorted(folder.glob("fairness-*.npz")):
    data = np.load(path)
    groups, truth, decided = data["groups"].tolist(), data["truth"], data["decided"]
    best, found = float("inf"), {}
    for _ in range(5):
        started = time.process_time()
        if library == "garrison":
            from garrison.serving.observe.feedback.groups import Tally

            tally = Tally()
            tally.add(groups, truth, decided)
            found = tally.differences()
        else:
            from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

            given = {"y_true": truth.astype(int), "y_pred": decided.astype(int), "sensitive_features": groups}
            found = {
                "demographic_parity": float(demographic_parity_difference(**given)),
                "equalised_odds": float(equalized_odds_difference(**given)),
            }
        best = min(best, time.process_time() - started)
    print(json.dumps({"library": library, "rows": len(groups), "ms": best * 1000, **found}))
