"""Writes what the benchmark of the guard asks with: `python world.py FOLDER`.

Requests for wrk, an API key, keys that sign, a reference of the digits, and, where garrison's extra `robustness` is
installed, a detector.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from garrison.serving.authenticate.key_file import create

folder = Path(sys.argv[1])
digits = load_digits()
rows = (digits.data / 16).astype(np.float32)
model = LogisticRegression(max_iter=300).fit(rows[:1200], digits.target[:1200])
_, key = create(str(folder / "keys.json"), "client", roles=("caller",))
(folder / "key").write_text(key)
(folder / "digest.key").write_bytes(os.urandom(32))
np.savez(folder / "data.npz", x=rows, y=digits.target)
np.save(folder / "scores.npy", model.predict_proba(rows))
garrison = [sys.executable, "-m", "garrison"]
subprocess.run([*garrison, "key", "generate", "--output", folder / "audit.key"], check=True)
subprocess.run(
    [
        *garrison, "guard", "reference", "--model", "digits", "--data", folder / "data.npz", "--input", "x",
        "--outputs", folder / "scores.npy", "--output", folder / "reference",
    ],
    check=True,
)  # fmt: skip
bodies = [
    json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [float(one) for one in row]}]})
    for row in rows
]
script = ["local bodies = {}"]
script += [f"bodies[#bodies + 1] = [[{body}]]" for body in bodies]
script += [
    f'local headers = {{["content-type"] = "application/json", ["x-api-key"] = "{key}"}}',
    "local at, ready = 0, {}",
    'init = function() for i = 1, #bodies do ready[i] = wrk.format("POST", nil, headers, bodies[i]) end end',
    "request = function() at = at % #bodies + 1 return ready[at] end",
    'done = function(summary, latency) io.write(string.format(\'RESULT{"requests":%d,"duration":%d,"median":%d,'
    '"late":%d,"failed":%d}\\n\', summary.requests, summary.duration, latency:percentile(50),'
    " latency:percentile(99), summary.errors.status + summary.errors.read + summary.errors.write"
    " + summary.errors.timeout)) end",
]
if importlib.util.find_spec("torch"):
    import torch

    from garrison.robustness.classifier import Classifier
    from garrison.robustness.data import Data
    from garrison.robustness.detection.energy import Energy
    from garrison.robustness.detection.storing import Origin, store

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(torch.from_numpy(rows)), torch.from_numpy(digits.target)).backward()
        optimizer.step()
    detector = Energy().fit(Classifier(network.eval(), 10, 0.0, 1.0), Data(rows, digits.target, "table", name="digits"))
    detector.calibrate(rows[:400], 0.02)
    store(detector, str(folder / "detector"), rows[:50], Origin("digits", "digits", "a" * 64))
(folder / "requests.lua").write_text("\n".join(script) + "\n")
