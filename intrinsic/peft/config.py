"""The settings of a subspace, as peft keeps them: `adapter_config.json`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from peft import PeftConfig

from intrinsic.errors import ArtefactError
from intrinsic.spec import Lambdas
from intrinsic.subspace.artefact import FORM, SEED, Settings

FORMAT = 1
"""The version of what is saved; it rises when the same numbers come to mean another model."""


class SubspaceType(str, enum.Enum):  # noqa: UP042 (peft prints str(type) and expects `Class.NAME`)
    """The type of the method: peft looks types up by their text, and its own list of them is closed."""

    SUBSPACE = "SUBSPACE"


@dataclass(kw_only=True)
class SubspaceConfig(PeftConfig):  # type: ignore[misc]
    """The settings of theta = theta_0 + lambda_i P_i theta_d; :class:`intrinsic.Subspace` has shapes and sources.

    subspace_dim        d, the budget: theta_d and the lambdas together
    structure_aware     one lambda a layer (SAID), or none (DID)
    lambdas             "layer", or "tensor": one lambda for each tensor
    projection          a name in :data:`intrinsic.PROJECTIONS`, with its options
    parameters          glob patterns of the parameter names that lie in the subspace; None: all
    seed                the projection's seed
    modules_to_save     modules that peft copies, trains and saves whole, outside of the budget. With a task type for
                        classification peft adds "classifier" and "score": a fresh head is then saved,
                        not drawn again. Every other weight is part of theta_0 and is not saved
    base                fingerprint of theta_0, filled in where a model is attached and compared where one is loaded.
                        Set to None in a loaded configuration it compares nothing, say for half precision
    format              the version of the saved folder

    Raises SpecError for a setting that is wrong, ArtefactError for a folder of a later format.
    """

    subspace_dim: int
    structure_aware: bool = FORM.structure_aware
    lambdas: Lambdas = FORM.lambdas
    projection: str = FORM.projection
    projection_options: dict[str, Any] | None = None
    parameters: list[str] | None = None
    seed: int = SEED
    modules_to_save: list[str] | None = None
    base: dict[str, str] | None = None
    format: int = FORMAT

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = SubspaceType.SUBSPACE
        if self.format != FORMAT:
            raise ArtefactError(
                f"the subspace was saved in format {self.format!r}, expected {FORMAT}: read it with the version of "
                "intrinsic that wrote it"
            )
        Settings.checked(
            subspace_dim=self.subspace_dim,
            projection=self.projection,
            options=self.projection_options or {},
            seed=self.seed,
            structure_aware=self.structure_aware,
            lambdas=self.lambdas,
            head=FORM.head,
        )
