"""Errors that this package raises on purpose.

    IntrinsicError
    |-- SpecError        a setting is wrong, or settings contradict each other   (also a ValueError)
    |   `-- UnknownName  a name is not in a registry; the message lists what is  (also a KeyError)
    |-- DataError        a task's data is absent, damaged, or not what was announced
    |-- ModelError       a pretrained model is absent, damaged, or does not fit the task
    |-- ArtefactError    a saved subspace is damaged, or belongs to another model
    |-- CertificateError a certificate or its message is damaged, or claims what does not hold
    |-- StoreError       the output directory cannot be read, written or shared
    `-- Diverged         training produced a loss or a weight that is not finite

A message says what was expected, what came, and what to do. The command line prints it as one sentence without a
traceback; any other exception that reaches it is a bug, and is reported as one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class IntrinsicError(Exception):
    """Base class of all errors that are raised on purpose."""


class SpecError(IntrinsicError, ValueError):
    """Error for a setting that is wrong, or settings that contradict each other."""


class UnknownName(SpecError, KeyError):  # noqa: N818 (reads as a sentence at the raise site)
    """Error for a name that is not in a registry; the message lists the names that are, and the nearest one."""

    def __init__(self, kind: str, name: str, available: Iterable[str]) -> None:
        names = sorted(available)
        close = difflib.get_close_matches(str(name), names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}; available: {', '.join(names) or 'none'}{hint}")

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])


class DataError(IntrinsicError):
    """Error for a task's data that is absent, damaged, or not what was announced."""


class ModelError(IntrinsicError):
    """Error for a pretrained model that is absent, damaged, or does not fit the task."""


class ArtefactError(IntrinsicError):
    """Error for a saved subspace that is damaged, or belongs to another model."""


class CertificateError(IntrinsicError):
    """Error for a certificate, or its message, that is damaged or claims what does not hold."""


class StoreError(IntrinsicError):
    """Error for an output directory that cannot be read, written or shared."""


class Diverged(IntrinsicError):  # noqa: N818
    """Error for training that produced a loss, gradient, output or weight that is not finite."""
