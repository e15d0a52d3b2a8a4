"""A store to run trials into, and a log of the runs of the stand-in for training."""

from __future__ import annotations

import pytest

from intrinsic.store import Store


@pytest.fixture
def store(tmp_path):
    (tmp_path / "out").mkdir()  # some tests put files of their own beside the store's
    with Store(tmp_path / "out") as opened:
        yield opened


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log"
    monkeypatch.setenv("SYNTHETIC_LOG", str(path))
    monkeypatch.setenv("SYNTHETIC_SLEEP", "0.02")
    return path
