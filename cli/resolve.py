"""The way from flags and a configuration file to one spec, or to one sentence that says what is wrong.

:func:`lay_over` serves every verb; :func:`resolve` adds the presets and the checks of a measurement.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeGuard, TypeVar, get_args

import yaml
from pydantic import ValidationError

from intrinsic.errors import SpecError, UnknownName
from intrinsic.measurement.checks import check_settings
from intrinsic.models import MODELS
from intrinsic.report import words
from intrinsic.spec import PRESETS, Frozen, MeasureSpec
from intrinsic.tasks import TASKS

from .flags import FLAGS, Flag

EITHER_OR = {"steps": "epochs", "epochs": "steps"}
"""Settings that exclude each other: each with the one that it unsets."""
Tree = dict[str, Any]
"""Nested settings by name."""
Spec = TypeVar("Spec", bound=Frozen)
"""The type of the spec that is made."""


@dataclass(frozen=True)
class Form(Generic[Spec]):
    """The settings that a verb can be given."""

    start: Spec
    """Spec that the settings are laid over."""
    flags: Sequence[Flag]
    """Flags whose names stand for the fields in complaints."""
    apart: Collection[str] = ()
    """Keys that a file may hold for the verb itself, beside the spec's."""


def resolve(
    flags: Tree, config: Path | None, preset: str | None, *, apart: Collection[str] = (), aimed: bool = True
) -> tuple[MeasureSpec, str]:
    """The spec, and the name of the preset it started from: preset, then configuration file, then flags.

    apart: keys that the file may hold for the verb itself. Without --preset the demo serves when neither flags nor file
    name a task or a model; else `text` or `vision`, by what they name.

    Raises SpecError, and ModelError for a model of another kind than the task.
    """
    written = {} if config is None else read_config(config)
    layers = [{key: value for key, value in written.items() if key not in apart}, flags]
    start = preset or _preset(layers)
    if start not in PRESETS:
        raise UnknownName("preset", start, PRESETS)
    spec = lay_over(Form(PRESETS[start], FLAGS, apart), layers, config)
    _check_preset(preset, spec)
    check_settings(spec, aimed=aimed)
    _check_typed(flags, spec)
    return spec, start


def lay_over(form: Form[Spec], layers: Sequence[Tree], config: Path | None) -> Spec:
    """The form's start with the layers over it, the last on top. A mapping over several settings goes into each.

    config: the file that a layer comes from, named in complaints. Raises SpecError of one sentence.
    """
    tree: Tree = form.start.model_dump()
    for layer in layers:
        tree = _merge(tree, _settled(layer))
    try:
        return type(form.start).model_validate(tree)
    except ValidationError as error:
        where = f" (configuration {config})" if config is not None else ""
        raise SpecError(_sentence(dict(error.errors(include_url=False)[0]), form) + where) from error


def to_yaml(spec: Frozen) -> str:
    """The spec as text that --config reads."""
    unread = {"optim": {"learning_rate"}} if isinstance(spec, MeasureSpec) else None  # a measurement chooses its own
    return yaml.safe_dump(spec.model_dump(mode="json", exclude=unread), sort_keys=False, allow_unicode=True)


def default_output_dir(spec: MeasureSpec) -> Path:
    """The usual folder of a measurement, runs/<task>-<model>-<said|did>.

    Runs of other settings share it, and the trials that they have in common.
    """
    return output_dir_for(spec, words.method(spec).lower())


def output_dir_for(spec: MeasureSpec, what: str) -> Path:
    """The folder runs/<task>-<model>-<what>, without characters that a file system may refuse."""
    names = (words.task(spec), words.short_name(spec.model.name), what)
    plain = "-".join("".join(c if c.isalnum() or c in "._-" else "-" for c in name) for name in names)
    return Path("runs") / plain


def _check_preset(preset: str | None, spec: MeasureSpec) -> None:
    task = TASKS.get(spec.task.name)
    if preset is not None and task is not None and task.kind != (wanted := TASKS[PRESETS[preset].task.name].kind):
        raise SpecError(
            f"--preset {preset} is for {wanted} tasks, but {spec.task.name!r} is a {task.kind} task: "
            f"use --preset {task.kind}, or leave it out"
        )


def _check_typed(flags: Tree, spec: MeasureSpec) -> None:
    """Refuse flags that --grid makes useless. A file may hold these settings: a record holds all of them."""
    idle = ("low", "high") if spec.search.kind == "adaptive" else ("low", "high", "resolution")
    typed = [f"--{name} {flags['search'][name]}" for name in idle if name in flags.get("search", {})]
    if spec.search.grid and typed:
        raise SpecError(
            f"--grid names the dimensions that may be tried, so {' and '.join(typed)} would change nothing: "
            "leave one or the other out"
        )


def _preset(layers: list[Tree]) -> str:
    names = {part: name for layer in layers for part in ("task", "model") if (name := _name(layer.get(part)))}
    if not names:
        return "demo"
    task, model = TASKS.get(names.get("task", "")), MODELS.get(names.get("model", ""))
    if task is not None:
        return task.kind
    return "text" if model is None else model.kind


def _name(part: object) -> str | None:
    name = part.get("name") if isinstance(part, Mapping) else None
    return name if isinstance(name, str) else None


def read_config(path: Path) -> Tree:
    """The settings of a YAML file. Raises SpecError of one sentence for a file that has none."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"cannot read the configuration {path}: {error.strerror}; give a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"the configuration {path} is not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(tree, dict):
        got = "nothing" if tree is None else type(tree).__name__
        raise SpecError(f"the configuration {path} must be a mapping such as --dry-run prints, got {got}")
    return _settings(tree, path)


def _settings(tree: Tree, path: Path) -> Tree:
    """The settings themselves, or those in `spec` of an experiment's file (see experiments/README.md)."""
    if "spec" not in tree:
        return tree
    if not isinstance(tree["spec"], dict):
        raise SpecError(f"`spec` in {path} must be a mapping of settings, got {tree['spec']!r}")
    return dict(tree["spec"])


def _settled(layer: Tree) -> Tree:
    """The layer, in which one of two settings that exclude each other unsets the other one in the layers below."""
    layer = {**layer}
    optim, target = layer.get("optim"), layer.get("target")
    if isinstance(optim, dict):
        unset = {b: None for a, b in EITHER_OR.items() if optim.get(a) is not None and b not in optim}
        layer["optim"] = {**optim, **unset}
        if optim.get("precision") is False:  # YAML 1.1 reads a bare `no` as false
            layer["optim"]["precision"] = "no"
    if isinstance(target, dict) and "kind" in target:
        layer["target"] = {"value": None, **target}
    return layer


def _merge(below: Tree, above: Tree) -> Tree:
    merged = dict(below)
    for key, value in above.items():
        held = below.get(key)
        if isinstance(value, dict) and isinstance(held, dict):
            merged[key] = _merge(held, value)
        elif isinstance(value, dict) and _are_settings(held):
            merged[key] = [_merge(row, value) for row in held]
        else:
            merged[key] = value
    return merged


def _are_settings(held: object) -> TypeGuard[Sequence[Tree]]:
    return isinstance(held, list | tuple) and bool(held) and all(isinstance(row, dict) for row in held)


def _sentence(problem: Tree, form: Form[Any]) -> str:
    """One of pydantic's errors as a sentence: setting, expected, got."""
    loc = [part for part in problem["loc"] if isinstance(part, str)]
    if problem["type"] == "extra_forbidden":
        *section, key = loc
        inside = f" in `{'.'.join(section)}`" if section else ""
        names = [*_fields(form, section), *(() if section else form.apart)]
        return str(UnknownName(f"setting{inside}", key, names))
    if problem["type"] == "model_type":
        names = _fields(form, loc)
        return f"{'.'.join(loc)}: expected a mapping of settings ({', '.join(names)}), got {problem['input']!r}"
    flag = next((flag for flag in form.flags if flag.path == ".".join(loc)), None)
    if flag is not None and problem["type"] in ("missing", "too_long"):  # a list of fewer or more words than it takes
        return f"{flag.name}: expected {flag.metavar}, got {','.join(map(str, problem['input']))!r}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message if problem["ctx"]["error"].__class__ is UnknownName else f"{_setting(loc, form)}{message}"
    return f"{_setting(loc, form)}{message[0].lower()}{message[1:]}, got {problem['input']!r}{_hint(problem)}"


def _setting(loc: list[str], form: Form[Any]) -> str:
    path = ".".join(loc)
    names = (flag.name for flag in form.flags if path in (flag.path, f"{flag.path}.kind", f"{flag.path}.value"))
    return f"{next(names, path)}: " if path else ""


def _hint(problem: Tree) -> str:
    """A remark that names the nearest of the allowed words; empty if there is none."""
    if problem["type"] != "literal_error":
        return ""
    allowed = problem["ctx"]["expected"].replace("' or '", "', '").strip("'").split("', '")
    close = difflib.get_close_matches(str(problem["input"]), allowed, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _fields(form: Form[Any], section: list[str]) -> list[str]:
    kind: type[Frozen] = type(form.start)
    for name in section:
        annotation = kind.model_fields[name].annotation
        kind = next(part for part in (annotation, *get_args(annotation)) if isinstance(part, type))
    return list(kind.model_fields)
