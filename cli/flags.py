"""Flags that set the fields of a spec: each names one field, whose default and checks it shares.

The flags of `intrinsic measure`, most of which `compare` takes too, stand here; those of `certify` in its own module.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import typer

from intrinsic.comparison import parse_method
from intrinsic.spec import PRESETS, Frozen

Kind = Literal["text", "integer", "list", "switch", "target", "method"]
"""The way to read the text of a flag."""


@dataclass(frozen=True)
class Flag:
    """A flag and the field that it sets."""

    name: str
    """The flag as it is typed; a switch means yes, or has a name for each answer, as in `--said/--did`."""
    path: str
    """Names that lead to the field, joined by dots; where one of them holds several settings, all are set."""
    help: str
    """Sentence of the help text, to which the defaults are added."""
    kind: Kind = "text"
    """The way to read the typed text; `text` serves most numbers too, `integer` fields that refuse numbers as text."""
    metavar: str = "TEXT"
    """Placeholder of the value in the help text."""

    @property
    def key(self) -> str:
        """The path as a Python identifier."""
        return self.path.replace(".", "__")

    def value(self, given: str | bool) -> object:
        """The value for the field; numbers may stay text, which the spec reads and checks."""
        if isinstance(given, bool):
            return given
        empty = given.strip().lower() in ("none", "")
        if self.kind == "list":
            return [] if empty else [part.strip() for part in given.split(",")]
        if self.kind == "target":
            kind, _, value = given.partition(":")
            return {"kind": kind, "value": value or None}
        if empty:
            return None
        if self.kind == "method":
            return parse_method(given)
        return _integer(given) if self.kind == "integer" else given


PANELS: dict[str, tuple[Flag, ...]] = {
    "Task": (
        Flag("--task", "task.name", "Task; see `intrinsic ls tasks`.", metavar="NAME"),
        Flag("--data-dir", "task.data_dir", "Folder or file with the data, instead of the Hub.", metavar="PATH"),
        Flag("--text-columns", "task.text_columns", "For `files`: columns with the text.", "list", "A[,B]"),
        Flag("--label-column", "task.label_column", "For `files`: column with the label.", metavar="NAME"),
        Flag("--splits", "task.splits", "Training and evaluation split.", "list", "TRAIN,EVAL"),
        Flag("--regression", "task.regression", "For `files`: labels are numbers.", "switch"),
        Flag("--limit", "task.limit", "Training examples used; `none`: all.", metavar="N"),
        Flag("--eval-limit", "task.eval_limit", "Evaluation examples used; `none`: all.", metavar="N"),
        Flag("--max-length", "task.max_length", "Tokens an example is cut to.", metavar="N"),
    ),
    "Model": (
        Flag("--model", "model.name", "Hub name, folder, or one of `intrinsic ls models`.", metavar="NAME"),
        Flag("--revision", "model.revision", "Commit, tag or branch on the Hub.", metavar="REV"),
        Flag("--layers", "model.layers", "Keep the first N transformer layers; `none`: all.", metavar="N"),
        Flag("--pooling", "model.pooling", "What a sentence encoder's head sees.", metavar="auto|cls|mean"),
        Flag(
            "--trust-remote-code",
            "model.trust_remote_code",
            "Run code that comes with a Hub model.",
            "switch",
        ),
    ),
    "Subspace": (
        Flag("--projection", "projection", "See `intrinsic ls projections`.", metavar="NAME"),
        Flag("--said/--did", "structure_aware", "A trained scale for each layer (SAID), or none (DID).", "switch"),
        Flag("--lambdas", "lambdas", "For SAID: one scale a layer or a tensor.", metavar="layer|tensor"),
        Flag("--head", "head", "The task's new head.", metavar="in-subspace|free|frozen"),
        Flag("--parameters", "parameters", "What the subspace moves.", metavar="all|no-embeddings"),
        Flag("--of", "of", "Move another method's parameters, as in lora:r=8.", "method", "NAME[:KEY=VALUE..]"),
    ),
    "Training": (
        Flag("--baseline-rates", "baseline_rates", "Learning rates tried for full fine-tuning.", "list", "R[,R..]"),
        Flag("--subspace-rates", "subspace_rates", "Learning rates tried for the subspace.", "list", "R[,R..]"),
        Flag("--baseline-seeds", "baseline_seeds", "Seeds behind the baseline's score.", metavar="N"),
        Flag("--optimizer", "optim.optimizer", "Optimiser.", metavar="adamw|sgd"),
        Flag("--weight-decay", "optim.weight_decay", "Decoupled weight decay.", metavar="X"),
        Flag("--schedule", "optim.schedule", "Learning rate after warm-up.", metavar="linear|cosine|constant"),
        Flag("--warmup", "optim.warmup", "Share of the steps.", metavar="X"),
        Flag("--clip", "optim.clip", "Largest gradient norm; `none`: no clipping.", metavar="X"),
        Flag("--epochs", "optim.epochs", "Passes over the training data (instead of --steps).", metavar="X"),
        Flag("--steps", "optim.steps", "Optimiser steps (instead of --epochs).", metavar="N"),
        Flag("--batch-size", "optim.batch_size", "Examples a batch.", metavar="N"),
        Flag("--eval-batch-size", "optim.eval_batch_size", "The same in evaluation.", metavar="N"),
        Flag("--accumulate", "optim.accumulate", "Batches a step.", metavar="N"),
        Flag("--precision", "optim.precision", "Autocast.", metavar="no|bf16|fp16"),
        Flag("--eval-every", "optim.eval_every", "Steps between evaluations; `none`: at the end.", metavar="N"),
        Flag("--policy", "optim.policy", "The checkpoint that counts.", metavar="last|best"),
    ),
    "Target and search": (
        Flag("--fraction", "target.fraction", "Share of the reference score to reach.", metavar="X"),
        Flag("--target", "target", "The reference score.", "target", "own|global:X|chance-corrected"),
        Flag("--search", "search.kind", "Adaptive, or the papers' full grid.", metavar="adaptive|grid"),
        Flag("--low", "search.low", "Smallest dimension.", metavar="N"),
        Flag("--high", "search.high", "Largest dimension.", metavar="N"),
        Flag("--resolution", "search.resolution", "Ratio of neighbouring dimensions.", metavar="X"),
        Flag("--grid", "search.grid", "The dimensions themselves.", "list", "N[,N..]"),
        Flag(
            "--seeds",
            "search.seeds",
            "Most seeds at one dimension; as many again where two rates compete or trials are lost.",
            metavar="N",
        ),
        Flag("--guard-rates", "search.guard_rates", "Factors on the rate that must fail too.", "list", "X[,X..]"),
        Flag("--max-trials", "search.max_trials", "Most trials of the search.", metavar="N"),
        Flag("--confidence", "search.confidence", "Of the interval.", metavar="X"),
        Flag("--seed", "seed", "Root of all random numbers.", metavar="N"),
    ),
}
"""The flags of `intrinsic measure`, by the panel of the help that shows them."""


def flags_of(panels: Mapping[str, Sequence[Flag]]) -> tuple[Flag, ...]:
    """The flags of all panels, in their order."""
    return tuple(flag for flags in panels.values() for flag in flags)


FLAGS = flags_of(PANELS)
"""The flags of `intrinsic measure`."""


def folder_name(given: str) -> Path:
    """The folder to write into. Refuses an empty name: that is a shell variable that was not set, not this folder."""
    if not given.strip():
        raise typer.BadParameter("expected a folder, got an empty name; leave the flag out, or give '.'")
    return Path(given)


def layer(given: Mapping[str, Any], flags: Sequence[Flag] = FLAGS) -> dict[str, Any]:
    """The flags that were given, as a nested dictionary of the spec's shape."""
    tree: dict[str, Any] = {}
    for flag in flags:
        if given.get(flag.key) is not None:
            *parents, leaf = flag.path.split(".")
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            value = flag.value(given[flag.key])
            if isinstance(value, dict):  # --target and --fraction set fields of one mapping
                node.setdefault(leaf, {}).update(value)
            else:
                node[leaf] = value
    return tree


def command_line(verb: str, given: Mapping[str, Any], own: Mapping[str, object]) -> str:
    """The command as one would type it again.

    given: the settings' flags, by key; own: the verb's flags, by name, None for one that was left out.
    """
    words = ["intrinsic", verb]
    for flag in FLAGS:
        value = given.get(flag.key)
        if isinstance(value, bool):
            words.append(flag.name.split("/")[0 if value else 1])
        elif value is not None:
            words += [flag.name, value]
    for name, word in own.items():
        words += [] if word is None else [name, str(word)]
    return shlex.join(words)


def takes_spec_flags(
    panels: Mapping[str, Sequence[Flag]] = PANELS,
    usual: Frozen = PRESETS["text"],
    presets: Mapping[str, Frozen] = PRESETS,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that gives a typer command with **given one option for every flag of the panels.

    usual: the spec whose values the help shows as defaults; presets: other specs of its class, shown where they differ.
    """

    def dress(run: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(run, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
        pairs = [(flag, panel) for panel, flags in panels.items() for flag in flags]
        both = [*(_option(flag, panel, _defaults(flag, usual, presets)) for flag, panel in pairs), *own]
        run.__signature__ = inspect.Signature(both)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in both}
        return run

    return dress


def _option(flag: Flag, panel: str, defaults: str) -> inspect.Parameter:
    switch = flag.kind == "switch"
    option = typer.Option(
        None,
        flag.name,
        help=f"{flag.help} [dim]\\[{defaults}][/dim]",
        rich_help_panel=panel,
        show_default=False,
        metavar=None if switch else flag.metavar,
    )
    annotation = bool | None if switch else str | None
    return inspect.Parameter(flag.key, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=annotation)


def _defaults(flag: Flag, usual: Frozen, presets: Mapping[str, Frozen]) -> str:
    """The field's usual value, and those of the presets that differ from it."""
    value = _show(_at(usual, flag.path), flag)
    others = {name: _show(_at(spec, flag.path), flag) for name, spec in presets.items()}
    return "; ".join([f"default: {value}", *(f"{name}: {other}" for name, other in others.items() if other != value)])


def _at(spec: Frozen, path: str) -> object:
    """The field's value; of several settings that of the first."""
    value: Any = spec
    for name in path.split("."):
        value = getattr(value[0] if isinstance(value, tuple) else value, name)
    return value.kind if path == "target" else value


def _show(value: object, flag: Flag) -> str:
    if isinstance(value, tuple):
        return ",".join(_show(part, flag) for part in value) or "none"
    if isinstance(value, bool):
        return flag.name.split("/")[0 if value else 1] if "/" in flag.name else str(value).lower()
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _integer(given: str) -> int | str:
    """The integer that was typed, or other text as it stands, for the spec to refuse."""
    try:
        return int(given)
    except ValueError:
        return given
