"""Fixtures with the certificate that the tests of this folder share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from certified_digits import SPEC

from intrinsic.certificate.certify import certify


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The folder of a certificate for the digits; tests only read it."""
    folder = tmp_path_factory.mktemp("digits")
    certify(SPEC, folder)
    return folder


@pytest.fixture
def copy(made, tmp_path) -> Path:
    """A copy of that folder, to be tampered with."""
    return Path(shutil.copytree(made, tmp_path / "copy"))
