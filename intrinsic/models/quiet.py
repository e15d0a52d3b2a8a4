"""Contexts for loading a model: without output, and without a change of the global random state."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any

import torch


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers and huggingface_hub: progress bars, load reports, log lines, warnings.

    What the user has set for logging, warnings and progress bars is back in force afterwards.
    """
    hub: Any = import_module("huggingface_hub.utils")
    hf_logging: Any = import_module("transformers.utils.logging")

    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    hf_logging.get_verbosity()  # transformers sets its level at its first use, which must come before the level is read
    levels = [logger.level for logger in loggers]
    bars, hub_bars = hf_logging.is_progress_bar_enabled(), not hub.are_progress_bars_disabled()
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hf_logging.disable_progress_bar()
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an environment variable may forbid the switch, which gives a warning
            if bars:
                hf_logging.enable_progress_bar()
            (hub.enable_progress_bars if hub_bars else hub.disable_progress_bars)()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Context in which torch's CPU generator starts at `seed`; afterwards its state is restored.

    Other generators are not touched: models are built on the CPU, and torch.manual_seed would reseed every GPU as well.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def built(weights: bool) -> AbstractContextManager[object]:
    """Context in which modules get values as usual, or none if `weights` is False: they are then on the meta device."""
    return nullcontext() if weights else torch.device("meta")
