"""Where the tests find data that are too large for the repository."""

from __future__ import annotations

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def shared_data(*parts: str) -> pathlib.Path:
    """A path under $INTRINSIC_DATA or ../shared/data beside the repository; the test is skipped if it is absent."""
    base = pathlib.Path(os.environ.get("INTRINSIC_DATA") or ROOT.parent / "shared" / "data")
    path = base.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no measurement data at {path}; set INTRINSIC_DATA to the folder that holds {parts[0]}")
    return path
