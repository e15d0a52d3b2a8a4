"""Three walks through the code, by running it: the files that a value enters on its way, in order.

    python experiments/house_walk.py d         from --low and --high to the weights
    python experiments/house_walk.py score     from the training loop to the figure
    python experiments/house_walk.py lora      from `lora:r=8` to the module that attaches it

A tiny run of the command line, in which every call into intrinsic/ and cli/ is looked at: a file is entered when one of
its functions is given the value, alone or inside a spec, a record or a list. A return is an entry into a file that the
value had left. TREE, an environment variable, names another checkout whose code is walked instead; its command line is
imported from TREE/cli.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

TREE = Path(os.environ.get("TREE") or Path(__file__).resolve().parents[1])
DIMENSION = 137
SMALL = "--seeds 1 --baseline-seeds 1 --baseline-rates 2e-3 --subspace-rates 2e-2"
MEASURE = f"measure --task digits --model mlp --did --steps 20 --grid {DIMENSION},200 --search grid {SMALL}"
COMPARE = "compare --methods lora:r=8:lr=1e-3 --layers 1 --limit 32 --eval-limit 32 --steps 1 --seeds 1 --preset demo"
DEPTH = 4


def command(arguments: str, folder: str) -> None:
    """Run the command line of TREE in a folder of its own."""
    spec = importlib.util.spec_from_file_location(
        "intrinsic_cli", TREE / "cli" / "__init__.py", submodule_search_locations=[str(TREE / "cli")]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["intrinsic_cli"] = package
    spec.loader.exec_module(package)
    main = importlib.import_module("intrinsic_cli.main").main
    assert main([*arguments.split(), "--output-dir", folder]) == 0


def holds(value: Any, wanted: Callable[[Any], bool], depth: int = DEPTH) -> bool:
    """Whether the value is wanted, or a spec, record or small list that has a wanted one inside."""
    if wanted(value):
        return True
    if not depth or isinstance(value, type):
        return False
    if hasattr(type(value), "model_fields"):
        inner = [getattr(value, name) for name in type(value).model_fields]
    elif dataclasses.is_dataclass(value):
        inner = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    elif isinstance(value, dict) and len(value) < 50:
        inner = list(value.values())
    elif isinstance(value, list | tuple) and len(value) < 50:
        inner = list(value)
    else:
        return False
    return any(holds(part, wanted, depth - 1) for part in inner)


class Arrived(BaseException):
    """The end of a walk: the weights are being trained."""


def walk(arguments: str, wanted: Callable[[Any], bool], to_weights: bool) -> list[str]:
    """The files entered, in order; the same file twice in a row is one stay.

    With to_weights the walk ends at the first gradient of a trial that has the wanted value.
    """
    route: list[str] = []
    ours = (f"{TREE}/intrinsic/", f"{TREE}/cli/")

    def look(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if code.co_name == "backward" and code.co_filename.endswith("torch/_tensor.py"):
            if to_weights and trial_on_stack(frame, wanted):
                raise Arrived
            return
        if not code.co_filename.startswith(ours):
            return
        place = str(Path(code.co_filename).relative_to(TREE))
        if not (route and route[-1] == place):
            count = code.co_argcount + code.co_kwonlyargcount
            given = frame.f_locals
            if any(holds(given.get(name), wanted) for name in code.co_varnames[:count] if name != "self"):
                route.append(place)

    sys.settrace(look)
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Arrived):
            command(arguments, folder)
    finally:
        sys.settrace(None)
    return route


def trial_on_stack(frame: FrameType | None, wanted: Callable[[Any], bool]) -> bool:
    """Whether the trial that is being run has the wanted value."""
    while frame is not None:
        for value in frame.f_locals.values():
            if type(value).__name__ == "TrialSpec":
                return holds(value, wanted)
        frame = frame.f_back
    return False


def score_of_a_trial() -> float:
    """The score of the trial at DIMENSION; the same command gives it again."""
    from intrinsic.store import read_measurement

    with tempfile.TemporaryDirectory() as folder:
        command(MEASURE, folder)
        trials = read_measurement(folder).result.trials
    return next(trial.score for trial in trials if trial.d == DIMENSION and trial.score is not None)


def is_number(wanted: float) -> Callable[[Any], bool]:
    """Whether a value is this number, or the text of it."""
    return lambda value: type(value) in (int, float, str) and value in (wanted, str(wanted))


def is_lora(value: Any) -> bool:
    """Whether a value speaks of LoRA: a text that begins with the name, or options of its class."""
    return (isinstance(value, str) and value.startswith("lora")) or type(value).__name__ == "LoraOptions"


def main(which: str) -> None:
    sys.path.insert(0, str(TREE))
    if which == "lora":
        route = walk(COMPARE, is_lora, to_weights=True)
    else:
        route = walk(MEASURE, is_number(DIMENSION if which == "d" else score_of_a_trial()), to_weights=which == "d")
    files = list(dict.fromkeys(route))
    print("\n".join(files))
    print(f"{which}: {len(files)} files, {len(route) - len(files)} returns")


if __name__ == "__main__":
    main(sys.argv[1])
