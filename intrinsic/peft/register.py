"""Making the method known to peft, whose registry is a few mappings by the type's text."""

from __future__ import annotations

from peft import mapping

from intrinsic.peft.config import SubspaceConfig, SubspaceType
from intrinsic.peft.tuner import SubspaceModel


def register() -> None:
    """Enter configuration, model and prefix. peft's own function for it takes only types of its closed list."""
    mapping.PEFT_TYPE_TO_CONFIG_MAPPING[SubspaceType.SUBSPACE] = SubspaceConfig
    mapping.PEFT_TYPE_TO_TUNER_MAPPING[SubspaceType.SUBSPACE] = SubspaceModel
    mapping.PEFT_TYPE_TO_PREFIX_MAPPING[SubspaceType.SUBSPACE] = SubspaceModel.prefix
