"""Fixtures that all tests share; every test process gets one thread.

The suite runs in as many processes as there are cores, and tiny models gain nothing from more threads.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
    os.environ.setdefault(name, "false" if name.startswith("TOK") else "1")

from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with a tiny pretrained model of every architecture, in the Hub's layout; tests only read them."""
    import model_folders

    return model_folders.save_all(tmp_path_factory.mktemp("models"))


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """A function cli(*args) -> (exit code, stdout, stderr), which runs in an empty folder with 80 columns."""
    from intrinsic_cli import main as command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*args: str) -> tuple[int, str, str]:
        code = command.main(list(args))
        out, err = capsys.readouterr()
        return code, out, err

    return call
