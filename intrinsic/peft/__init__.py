"""A random subspace as a method of the library `peft` (the extra `intrinsic[peft]`).

    from peft import get_peft_model
    from intrinsic.peft import SubspaceConfig

    model = get_peft_model(model, SubspaceConfig(subspace_dim=500, task_type="SEQ_CLS"))

Training, save_pretrained, from_pretrained, the AutoPeftModel classes, disable_adapter, merge_and_unload and the
Trainer then work as with peft's own methods. Importing this module makes the method known to peft, which has no
other way: a process that loads a saved folder imports it first.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("peft") is None:
    raise ImportError("intrinsic.peft needs the library peft, which is not installed: pip install 'intrinsic[peft]'")

from intrinsic.peft.config import SubspaceConfig
from intrinsic.peft.register import register

__all__ = ["SubspaceConfig"]

register()
