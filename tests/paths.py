"""Paths of what lies outside of the tests: data too large for the repository, scripts of experiments/."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys
from types import ModuleType

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def shared_data(*parts: str) -> pathlib.Path:
    """A path under $INTRINSIC_DATA or ../shared/data beside the repository; the test is skipped if it is absent."""
    base = pathlib.Path(os.environ.get("INTRINSIC_DATA") or ROOT.parent / "shared" / "data")
    path = base.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no measurement data at {path}; set INTRINSIC_DATA to the folder that holds {parts[0]}")
    return path


def experiment(name: str) -> ModuleType:
    """A script of experiments/ as a module; `name` may lie in a folder there."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), ROOT / "experiments" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
