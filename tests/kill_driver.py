"""Script that runs synthetic measurements in processes of their own, to be killed from outside. Not a test.

Reads one JSON object a line, {"dir": ..., "log": ..., "jobs": ..., "count": ...}; forks `count` processes that each
measure into `dir`; answers with the list of their ids, and, once all have ended, with the list of their wait statuses.
Forking spares each of them the start of an interpreter.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import synthetic

from intrinsic.spec import MeasureSpec, SearchSpec

SPEC = synthetic.measure_spec(
    baseline_rates=(2.5e-4, 5e-4, 1e-3),
    baseline_seeds=5,
    subspace_rates=(2e-3, 4e-3, 8e-3),
    search=SearchSpec(low=8, high=1024, seeds=4),
)


def run(directory: str, log: str, jobs: int, spec: MeasureSpec = SPEC) -> None:
    """Run one measurement; its number of jobs must not show in its result."""
    from intrinsic.measurement import measure

    os.environ["SYNTHETIC_LOG"] = log
    measure(spec, directory, jobs=jobs, runner=synthetic.run, command="the same command")


def fork(request: dict) -> int:
    child = os.fork()
    if child:
        return child
    try:
        run(request["dir"], request["log"], request["jobs"])
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main() -> None:
    # Here and not above: worker processes import this file too, and need none of it.
    import intrinsic.measurement  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        children = [fork(request) for _ in range(request["count"])]
        print(json.dumps(children), flush=True)
        print(json.dumps([os.waitpid(child, 0)[1] for child in children]), flush=True)


if __name__ == "__main__":
    main()
