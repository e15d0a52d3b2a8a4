"""From flags, a configuration file and a preset to one MeasureSpec, or to one sentence that says what is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from intrinsic.errors import SpecError, UnknownName
from intrinsic.measurement.checks import check_settings
from intrinsic.models import MODELS
from intrinsic.report import words
from intrinsic.spec import PRESETS, Frozen, MeasureSpec
from intrinsic.tasks import TASKS

from .flags import FLAGS

EITHER_OR = {"steps": "epochs", "epochs": "steps"}
Tree = dict[str, Any]


def resolve(
    flags: Tree, config: Path | None, preset: str | None, *, apart: Collection[str] = ()
) -> tuple[MeasureSpec, str]:
    """The spec and the name of the preset it started from: preset < configuration file < flags.

    apart: keys that the file may hold besides, for the verb itself. Without --preset the demo serves when neither flags
    nor file name a task or a model; else `text` or `vision`, by what they name. Raises SpecError, and ModelError for a
    model of another kind than the task.
    """
    written = {} if config is None else read_config(config)
    layers = [{key: value for key, value in written.items() if key not in apart}, flags]
    start = preset or _preset(layers)
    if start not in PRESETS:
        raise UnknownName("preset", start, PRESETS)
    tree: Tree = PRESETS[start].model_dump()
    for layer in layers:
        tree = _merge(tree, _settled(layer))
    spec = _validate(tree, config, apart)
    _check_preset(preset, spec)
    check_settings(spec)
    _check_typed(flags, spec)
    return spec, start


def to_yaml(spec: MeasureSpec) -> str:
    """The spec as --config reads it."""
    tree = spec.model_dump(mode="json", exclude={"optim": {"learning_rate"}})
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def default_output_dir(spec: MeasureSpec) -> Path:
    """runs/<task>-<model>-<said|did>; runs of other settings share it, and the trials they have in common."""
    return output_dir_for(spec, words.method(spec).lower())


def output_dir_for(spec: MeasureSpec, what: str) -> Path:
    """runs/<task>-<model>-<what>."""
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
    """Refuse the flags that --grid makes idle. A file may hold these settings: a record holds all of them."""
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
    """A file's settings; SpecError of one sentence where there are none."""
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
    """A layer that sets one of two exclusive fields unsets the other one that lies below it."""
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
        deeper = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merge(below[key], value) if deeper else value
    return merged


def _validate(tree: Tree, config: Path | None, apart: Collection[str]) -> MeasureSpec:
    try:
        return MeasureSpec.model_validate(tree)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = f" (configuration {config})" if config is not None else ""
        raise SpecError(_sentence(dict(problem), apart) + where) from error


def _sentence(problem: Tree, apart: Collection[str]) -> str:
    """One pydantic error as: setting, expected, got. apart: what a file may hold besides a measurement's settings."""
    loc = [part for part in problem["loc"] if isinstance(part, str)]
    if problem["type"] == "extra_forbidden":
        *section, key = loc
        inside = f" in `{'.'.join(section)}`" if section else ""
        return str(UnknownName(f"setting{inside}", key, [*_fields(section), *(apart if not section else ())]))
    if problem["type"] == "model_type":
        return f"{'.'.join(loc)}: expected a mapping of settings ({', '.join(_fields(loc))}), got {problem['input']!r}"
    flag = next((flag for flag in FLAGS if flag.path == ".".join(loc)), None)
    if flag is not None and problem["type"] in ("missing", "too_long"):  # a list of fewer or more words than it takes
        return f"{flag.name}: expected {flag.metavar}, got {','.join(map(str, problem['input']))!r}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message if problem["ctx"]["error"].__class__ is UnknownName else f"{_setting(loc)}{message}"
    return f"{_setting(loc)}{message[0].lower()}{message[1:]}, got {problem['input']!r}{_hint(problem)}"


def _setting(loc: list[str]) -> str:
    path = ".".join(loc)
    flag = next((flag.name for flag in FLAGS if path in (flag.path, f"{flag.path}.kind", f"{flag.path}.value")), None)
    return f"{flag or path}: " if path else ""


def _hint(problem: Tree) -> str:
    """The nearest of the allowed words."""
    if problem["type"] != "literal_error":
        return ""
    allowed = problem["ctx"]["expected"].replace("' or '", "', '").strip("'").split("', '")
    close = difflib.get_close_matches(str(problem["input"]), allowed, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _fields(section: list[str]) -> list[str]:
    model: type[Frozen] = MeasureSpec
    for name in section:
        annotation = model.model_fields[name].annotation
        model = next(kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type))
    return list(model.model_fields)
