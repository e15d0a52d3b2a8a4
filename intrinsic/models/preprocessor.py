"""Loading of the tokenizer or image processor that belongs to a model, and its adaptation to the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoTokenizer

# Imported from its own module: without torchvision, which it does not need, transformers 5.17 hides it at the top.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from intrinsic.errors import ModelError
from intrinsic.models.folder import one_line
from intrinsic.spec import Inputs


def load_preprocessor(folder: Path, kind: Inputs, config: Any, trust_remote_code: bool) -> Any:
    """Load the folder's tokenizer (text) or image processor (vision).

    A tokenizer is set to pad on the right with a padding token (its own, else its end-of-sequence or unknown token).
    `config.pad_token_id` is set to it where it is None, and in every decoder, which classifies at the last token that
    is not padding. Raises ModelError if the files cannot be read, or the tokenizer does not fit the model.
    """
    auto: Any
    auto, what = (AutoTokenizer, "tokenizer") if kind == "text" else (AutoImageProcessor, "image processor")
    try:
        made = auto.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise ModelError(f"the {what} in {folder} cannot be read ({one_line(error)})") from error
    if kind == "text":
        _check_vocabulary(folder, made, config)
        _settle_padding(folder, made, config)
    return made


def _check_vocabulary(folder: Path, tokenizer: Any, config: Any) -> None:
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # transformers builds an empty one from a bare config
        raise ModelError(f"the tokenizer in {folder} has no vocabulary: expected tokenizer.json or vocab.txt")
    rows = getattr(config, "vocab_size", None)
    if isinstance(rows, int) and tokenizer.vocab_size > rows:
        raise ModelError(
            f"the tokenizer in {folder} has {tokenizer.vocab_size} tokens and the model embeds only {rows}: "
            "they do not belong together"
        )


def _settle_padding(folder: Path, tokenizer: Any, config: Any) -> None:
    tokenizer.padding_side = "right"
    rows = getattr(config, "vocab_size", None)
    candidates = (tokenizer.pad_token, tokenizer.eos_token, tokenizer.unk_token)
    for token in filter(None, candidates):
        number = tokenizer.convert_tokens_to_ids(token)
        if isinstance(number, int) and (rows is None or number < rows):
            tokenizer.pad_token = token
            # An encoder keeps an id that it has: it finds padding by the mask, and may derive positions from the id.
            if getattr(config, "pad_token_id", None) is None or _is_decoder(config):
                config.pad_token_id = number
            return
    raise ModelError(f"the tokenizer in {folder} has no padding, end-of-sequence or unknown token to pad with")


def _is_decoder(config: Any) -> bool:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and type(config) not in MODEL_FOR_MASKED_LM_MAPPING


def fit_preprocessor(tokenizer: Any, kind: Inputs, model: nn.Module) -> None:
    """Adapt a tokenizer to the model: no token types if the model has fewer than two, no more tokens than positions."""
    if kind == "vision":
        return
    config: Any = model.config
    if (getattr(config, "type_vocab_size", None) or 0) < 2:
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int):
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions - _reserved(model))


def _reserved(model: nn.Module) -> int:
    """Number of rows of the position table that no token may use: RoBERTa counts from padding_idx + 1."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0
