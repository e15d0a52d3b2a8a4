"""One thread a test process: the suite runs in as many processes as there are cores, and tiny models gain nothing."""

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
    """A tiny pretrained model of every architecture, as a folder of the Hub's layout; read-only by agreement."""
    import model_folders

    return model_folders.save_all(tmp_path_factory.mktemp("models"))


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """cli(*args) -> (exit code, stdout, stderr), in an empty folder and 80 columns."""
    from intrinsic_cli import main as command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*args: str) -> tuple[int, str, str]:
        code = command.main(list(args))
        out, err = capsys.readouterr()
        return code, out, err

    return call
