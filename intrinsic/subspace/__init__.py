"""A random subspace laid over the parameters of any module: DID (Li et al. 2018) and SAID (Aghajanyan et al. 2020)."""

from intrinsic.subspace.attach import Subspace

__all__ = ["Subspace"]
