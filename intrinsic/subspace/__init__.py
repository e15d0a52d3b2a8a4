"""A random subspace laid over the parameters of any module: DID and SAID."""

from intrinsic.subspace.attach import Subspace

__all__ = ["Subspace"]
