"""Training divided among processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = """
import sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from toy import SPECS, ToyTask, loaded
from accelerate.state import PartialState
from intrinsic.methods import attach
from intrinsic.training.runtime import is_main_process
from intrinsic.spec import OptimSpec, SeedSpec
from intrinsic.training import fit

if __name__ == "__main__":
    task, out = ToyTask(num_train=35, num_eval=5), {}
    for kind in ("full", "free head"):
        start = loaded()
        start.model.unused = torch.nn.LayerNorm(2)
        trainable = attach(start, SPECS[kind], SeedSpec())
        optim = OptimSpec(learning_rate=1e-2, steps=7, batch_size=8, accumulate=2, eval_batch_size=2)
        report = fit(trainable, task.prepare(None), task, optim, 0)
        weights = torch.cat([p.detach().reshape(-1) for p in trainable.parameters()])
        out[kind] = weights, report.score, report.train_loss, len(task.scored[-1])
    out["processes"] = PartialState().num_processes
    if is_main_process():
        torch.save(out, sys.argv[2])
"""


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    results = []
    for name, command in (("one", []), ("two", launch)):
        target = tmp_path / name
        arguments = [sys.executable, *command, str(script), str(Path(__file__).parents[1]), str(target)]
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False, timeout=240)
        assert done.returncode == 0, done.stderr
        results.append(torch.load(target))
    one, two = results
    assert (one.pop("processes"), two.pop("processes")) == (1, 2)
    for kind in one:
        torch.testing.assert_close(one[kind][0], two[kind][0], rtol=1e-4, atol=1e-5)
        assert one[kind][1:] == pytest.approx(two[kind][1:], rel=1e-4)
