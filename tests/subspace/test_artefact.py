"""A saved subspace: small, exact after training in a fresh process, and refused when anything about it is off."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models_tiny import batch_of, logits, loss_of, tiny
from safetensors.torch import load_file, save_file
from torch import nn

from intrinsic.errors import ArtefactError, IntrinsicError, SpecError
from intrinsic.subspace import Subspace
from intrinsic.subspace.artefact import HEADER_FILE, Fingerprint, read_header
from intrinsic.subspace.manifest import TensorRow, pack, unpack

TESTS = Path(__file__).parents[1]


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    return model


def train(subspace: Subspace, inputs: dict[str, Any] | torch.Tensor, steps: int = 3) -> None:
    optimizer = torch.optim.Adam(subspace.parameters(), 1e-2)
    model = subspace.model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        out = logits(model, inputs) if isinstance(inputs, dict) else model(inputs)
        loss_of(out).backward()
        optimizer.step()
    model.eval()


X = torch.linspace(-1, 1, 24).view(4, 6)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    subspace = Subspace(net(), 14, head="free", head_names=["3"])
    train(subspace, X)
    subspace.save_pretrained(tmp_path / "artefact")
    return tmp_path / "artefact"


FRESH = """
import sys, torch
from intrinsic.subspace import Subspace
from models_tiny import batch_of, logits, tiny
name, folder = sys.argv[1:]
model = tiny(name)
subspace = Subspace.from_pretrained(folder, model)
with torch.no_grad():
    torch.save(logits(model.eval(), batch_of(name)), folder + "/logits.pt")
"""


@pytest.mark.parametrize("name", ["gpt2", "convnet"])
def test_a_fresh_process_gives_the_same_bits_after_training(name: str, tmp_path: Path) -> None:
    model = tiny(name)
    head = "free" if name == "convnet" else "in-subspace"
    subspace = Subspace(model, 60, head=head, head_names=["classifier"] if head == "free" else ())
    train(subspace, batch_of(name))
    with torch.no_grad():
        want = logits(model, batch_of(name))
    size = subspace.save_pretrained(tmp_path)
    assert size == sum(path.stat().st_size for path in tmp_path.iterdir())
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", FRESH, name, str(tmp_path)], check=True, cwd=TESTS, env=environment)
    assert torch.equal(torch.load(tmp_path / "logits.pt"), want)


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "llama", "t5", "vit", "deberta", "convnet"])
@pytest.mark.parametrize("kind", ["DID", "layer", "tensor"])
def test_the_round_trip_is_exact(name: str, kind: str, tmp_path: Path) -> None:
    model = tiny(name)
    subspace = Subspace(
        model, 90, "hashed", structure_aware=kind != "DID", lambdas="layer" if kind == "DID" else kind, seed=2**63
    )
    train(subspace, batch_of(name))
    with torch.no_grad():
        want = logits(model, batch_of(name))
    subspace.save_pretrained(tmp_path)
    other = tiny(name).eval()
    again = Subspace.from_pretrained(tmp_path, other)
    with torch.no_grad():
        assert torch.equal(logits(other, batch_of(name)), want)
    assert again.settings == subspace.settings
    assert (again.subspace_dim, again.full_dim, repr(again)) == (90, subspace.full_dim, repr(subspace))
    for mine, theirs in zip(again.parameters(), subspace.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    with torch.no_grad():  # T5's matrix products round otherwise with a graph than without
        assert torch.equal(logits(again.merge(), batch_of(name)), want)


def test_a_selection_and_the_options_come_back(tmp_path: Path) -> None:
    model = tiny("bert")
    subspace = Subspace(model, 30, "sparse", parameters=lambda name: "embeddings" not in name)
    train(subspace, batch_of("bert"))
    subspace.save_pretrained(tmp_path)
    again = Subspace.from_pretrained(tmp_path, tiny("bert"))
    assert again.tensor_names == subspace.tensor_names
    assert again.settings.options == subspace.settings.options != {}
    assert not any(p.requires_grad for n, p in again.model.named_parameters() if "embeddings" in n)


def test_an_artefact_of_400_tensors_is_a_few_kilobytes(tmp_path: Path) -> None:
    def block() -> nn.Module:
        return nn.ModuleDict({f"part_{place}_of_the_block": nn.Linear(3, 3) for place in range(8)})

    torch.manual_seed(0)
    model = nn.ModuleDict({"encoder": nn.ModuleList([block() for _ in range(25)])})
    size = Subspace(model, 200).save_pretrained(tmp_path)
    manifest = unpack(read_header(tmp_path).manifest)
    assert len(manifest) == 400
    assert "encoder.24.part_7_of_the_block.weight" in manifest
    assert size < 6000


def test_training_goes_on_from_an_artefact(saved: Path, tmp_path: Path) -> None:
    straight = Subspace(net(), 14, head="free", head_names=["3"])
    train(straight, X)
    reloaded = Subspace.from_pretrained(saved, net())
    for subspace in (straight, reloaded):
        train(subspace, X)
    assert torch.equal(straight.model(X), reloaded.model(X))
    reloaded.save_pretrained(saved)
    assert sorted(p.suffix for p in saved.iterdir()) == [".json", ".safetensors"]  # the old numbers are gone


def test_an_interrupted_save_leaves_the_old_artefact(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    want = Subspace.from_pretrained(saved, net()).state_dict()
    changed = Subspace.from_pretrained(saved, net())
    train(changed, X)
    replace = Path.replace

    def full_disk(path: Path, target: Path) -> Path:
        if target.name == HEADER_FILE:
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(ArtefactError, match=r"cannot write the artefact to .*No space left"):
        changed.save_pretrained(saved)
    monkeypatch.undo()
    for name, tensor in Subspace.from_pretrained(saved, net()).state_dict().items():
        assert torch.equal(tensor, want[name])
    assert not [path for path in saved.iterdir() if path.name.startswith(".")]


def test_numbers_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    subspace = Subspace(net(), 14)
    subspace.theta.data[3] = float("nan")
    with pytest.raises(ArtefactError, match="theta holds values that are not finite: nothing was written"):
        subspace.save_pretrained(tmp_path / "x")
    assert not (tmp_path / "x").exists()


# ---------------------------------------------------------------------- another base model


def rename(model: nn.Module) -> nn.Module:
    children = dict(model.named_children())
    return nn.Sequential(children["0"], children["1"], children["2"], nn.Identity(), children["3"])


def altered(place: str, by: float) -> Callable[[nn.Module], nn.Module]:
    def change(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            model.get_parameter(place)[0] += by
        return model

    return change


def without(place: str) -> Callable[[nn.Module], nn.Module]:
    def change(model: nn.Module) -> nn.Module:
        model.get_submodule(place).bias = None
        return model

    return change


def with_extra(model: nn.Module) -> nn.Module:
    model.extra = nn.Linear(1, 1)
    return model


def wider(model: nn.Module) -> nn.Module:
    model[3] = nn.Linear(8, 4)
    return model


def tied(model: nn.Module) -> nn.Module:
    model[1].weight = model[0].bias
    return model


OTHERS = {
    "renamed": (rename, r"lacks '3.bias', '3.weight'.*did it become '4.bias'"),
    "missing": (without("0"), "lacks '0.bias'"),
    "extra": (with_extra, "has 'extra.bias', 'extra.weight', which the artefact's base model had not"),
    "shape": (wider, r"'3.bias' has shape \(4,\) in the model, \(3,\) in the artefact"),
    "one value": (altered("0.weight", 1e-6), "1 of 7 tensors differ, '0.weight'"),
    "bf16": (lambda m: m.bfloat16(), "6 of 7 tensors differ"),
    "seed": (lambda m: net(1), "2 of 7 tensors differ, '0.bias', '0.weight'"),
}


@pytest.mark.parametrize(("change", "message"), OTHERS.values(), ids=list(OTHERS))
def test_another_base_model_is_refused_and_left_alone(saved: Path, change: Any, message: str) -> None:
    model = change(net())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ArtefactError, match=rf"{message}.*({REMEDIES})"):
        Subspace.from_pretrained(saved, model)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


def test_another_initial_free_head_does_not_matter(saved: Path) -> None:
    want = Subspace.from_pretrained(saved, net()).model.eval()(X)
    model = altered("3.weight", 1.0)(net())
    assert torch.equal(Subspace.from_pretrained(saved, model).model.eval()(X), want)


def test_a_tie_that_is_gone_is_noticed(tmp_path: Path) -> None:
    Subspace(tied(net()), 14).save_pretrained(tmp_path)
    with pytest.raises(ArtefactError, match=r"lacks|has '1.weight'"):
        Subspace.from_pretrained(tmp_path, net())
    Subspace.from_pretrained(tmp_path, tied(net()))
    header = json.loads((tmp_path / HEADER_FILE).read_text())
    header["ties"] = {}
    (tmp_path / HEADER_FILE).write_text(json.dumps(header))
    with pytest.raises(ArtefactError, match=r"'0.bias' is tied to \('1.weight',\) in the model, to nothing"):
        Subspace.from_pretrained(tmp_path, tied(net()))


def test_a_model_in_use_or_wrapped_is_refused(saved: Path) -> None:
    model = net()
    Subspace.from_pretrained(saved, model)
    with pytest.raises(SpecError, match="carries a subspace already"):
        Subspace.from_pretrained(saved, model)


def test_the_fingerprint_ignores_order_and_sees_names_shapes_types_and_bits() -> None:
    a, b = torch.arange(6.0), torch.ones(2, 3)
    one = Fingerprint.of({"a": a, "b": b})
    assert one == Fingerprint.of({"b": b.t().contiguous().t(), "a": a.clone()})
    others = [{"a": b, "b": a}, {"a": a, "c": b}, {"a": a, "b": b.view(6)}, {"a": a, "b": b.double()}, {"a": a}]
    others.append({"a": a, "b": torch.nextafter(b, 2 * b)})
    assert len({Fingerprint.of(other).sha256 for other in others} | {one.sha256}) == len(others) + 1
    by_hand = hashlib.sha256()
    for name, tensor in (("a", a), ("b", b)):
        label = json.dumps([name, "float32", list(tensor.shape)]).encode() + b"\0"
        by_hand.update(hashlib.sha256(label + tensor.numpy().tobytes()).digest())
    assert one.sha256 == by_hand.hexdigest()


def test_the_fingerprint_of_22_million_weights_takes_less_than_a_second_or_so() -> None:
    tensors = {f"layer.{i}": torch.ones(220_000) for i in range(100)}
    start = time.process_time()
    Fingerprint.of(tensors)
    assert time.process_time() - start < 2


# ---------------------------------------------------------------------- damaged and hostile files


def edited(path: tuple[str | int, ...], value: Any) -> Callable[[Path], None]:
    """Set one place of the JSON, whatever it held."""

    def edit(folder: Path) -> None:
        header = json.loads((folder / HEADER_FILE).read_text())
        place = header
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
        (folder / HEADER_FILE).write_text(json.dumps(header))

    return edit


def text(content: str | bytes) -> Callable[[Path], None]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / HEADER_FILE).write_bytes(data) and None


def tensor_file(folder: Path) -> Path:
    return next(folder.glob("*.safetensors"))


def body(change: Callable[[bytes], bytes], sign: bool = True) -> Callable[[Path], None]:
    """Change the tensor file; sign: as an attacker would, with the hash in the JSON made to fit."""

    def edit(folder: Path) -> None:
        changed = change(tensor_file(folder).read_bytes())
        tensor_file(folder).write_bytes(changed)
        if sign:
            edited(("tensor_sha256",), hashlib.sha256(changed).hexdigest())(folder)

    return edit


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        held = load_file(tensor_file(folder))
        change(held)
        save_file(held, tensor_file(folder))
        edited(("tensor_sha256",), hashlib.sha256(tensor_file(folder).read_bytes()).hexdigest())(folder)

    return edit


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/intrinsic-was-here",)


def fifo(folder: Path) -> None:
    tensor_file(folder).unlink()
    os.mkfifo(folder / json.loads((folder / HEADER_FILE).read_text())["tensor_file"])


def long_header(data: bytes) -> bytes:
    return (2**60).to_bytes(8, "little") + data[8:]


SETTINGS = {"subspace_dim": 14, "projection": "fastfood", "seed": 0, "structure_aware": True, "head": "free"}
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda f: f.rename(f.with_name("away")), "cannot read .*No such file"),
    "no tensors": (lambda f: tensor_file(f).unlink(), "cannot read .*safetensors"),
    "no json": (text(""), "damaged"),
    "not json": (text("{"), "damaged"),
    "not utf-8": (text(b"\xff\xfe{}"), "damaged"),
    "a list": (text("[]"), "damaged"),
    "nested": (text("[" * 200_000), "damaged"),
    "nested objects": (text('{"a":' * 100_000), "damaged"),
    "huge number": (text('{"format": "intrinsic-subspace", "version": ' + "9" * 10_000 + "}"), "damaged"),
    "huge json": (lambda f: os.truncate(f / HEADER_FILE, 2**33), "damaged: 8589934592 bytes"),
    "pickle for json": (text(pickle.dumps(Bomb())), "damaged"),
    "another format": (edited(("format",), "peft"), "'peft' version 1, expected"),
    "newer": (edited(("version",), 2), "version 2, expected 'intrinsic-subspace' version 1: read it with"),
    "extra field": (edited(("more",), 1), "more: Extra inputs"),
    "traversal": (edited(("tensor_file",), "../../etc/passwd"), "tensor_file must look like"),
    "absolute": (edited(("tensor_file",), "/etc/passwd"), "tensor_file must look like"),
    "newline": (edited(("tensor_file",), "subspace-0123456789abcdef.safetensors\n"), "tensor_file must look like"),
    "bad hash": (edited(("tensor_sha256",), "0" * 63), "tensor_sha256"),
    "other hash": (edited(("tensor_sha256",), "0" * 64), "its SHA-256 is not the one"),
    "base hash": (edited(("base", "sha256"), "0" * 64), "does not tell"),
    "short hashes": (edited(("base",), {"sha256": "0" * 64, "short": ""}), "7 of 7 tensors differ"),
    "projection": (
        edited(("settings", "projection"), "__import__"),
        "cannot be used here .unknown projection '__import__'; available: .*: install the package that adds it",
    ),
    "no projection": (edited(("settings", "projection"), None), "settings.projection: Input should be a valid string"),
    "a setting missing": (edited(("settings",), SETTINGS | {"options": {}}), "settings: lambdas is missing"),
    "a truth value of 1": (edited(("settings", "structure_aware"), 1), "settings.structure_aware: .*valid boolean"),
    "options": (edited(("settings", "options"), {"cache_bytes": -1}), "cannot be met"),
    "unknown option": (
        edited(("settings", "options"), {"os": "rm"}),
        "unknown option of the projection fastfood 'os'; available: none",
    ),
    "option twice": (
        edited(("settings", "options"), {"full_dim": 3}),
        "projection 'fastfood' does not take full_dim=3",
    ),
    "option of text": (
        edited(("settings", "options"), {"cache_bytes": "much"}),
        "cache_bytes must be an integer, .*got 'much'",
    ),
    "d": (edited(("settings", "subspace_dim"), 2**31 - 1), "cannot be met .subspace_dim must be at most"),
    "d text": (edited(("settings", "subspace_dim"), "14"), "subspace_dim"),
    "d too small": (edited(("settings", "subspace_dim"), 2), "cannot be met"),
    "another d": (edited(("settings", "subspace_dim"), 15), r"'theta' .* has shape \(12,\), expected \(13,\)"),
    "seed": (edited(("settings", "seed"), -1), "seed"),
    "DID": (edited(("settings", "structure_aware"), False), "'theta'|'lambdas'"),
    "manifest": (edited(("manifest",), []), "has '0.bias'"),
    "manifest type": (edited(("manifest",), {"0.bias": 3}), "manifest"),
    "row twice": (edited(("manifest", 1), ["*.bias", [8], "subspace", "0"]), "comes twice"),
    "range": (edited(("manifest", 0, 3), "0-999999999"), "more than 100000 tensors"),
    "backward range": (edited(("manifest", 0, 3), "5-2"), "manifest is damaged"),
    "no range": (edited(("manifest", 0, 3), "0;1"), "manifest.0.3"),
    "no wildcard": (edited(("manifest", 0, 0), "bias"), "manifest is damaged"),
    "shape": (edited(("manifest", 0, 1), [2**62, 2**62]), r"'0.bias' has shape \(8,\) in the model"),
    "negative shape": (edited(("manifest", 0, 1), [-8]), "manifest.0.1.0"),
    "many axes": (edited(("manifest", 0, 1), [1] * 10_000), "manifest.0.1"),
    "role": (edited(("manifest", 0, 2), "root"), "manifest.0.2"),
    "role of a buffer": (edited(("manifest", 0, 2), "buffer"), "'0.bias' is a parameter in the model"),
    "ties": (edited(("ties",), {"nobody": ["x"]}), "'nobody' is not among its rows"),
    "truncated": (body(lambda b: b[:-5], sign=False), "its SHA-256"),
    "truncated, signed": (body(lambda b: b[:-5]), "no safetensors file"),
    "empty, signed": (body(lambda b: b""), "no safetensors file"),
    "pickle, signed": (body(lambda b: pickle.dumps(Bomb())), "no safetensors file"),
    "long header, signed": (body(long_header), "no safetensors file"),
    "grown": (lambda f: os.truncate(tensor_file(f), 2**34), "17179869184 bytes where at most"),
    "a pipe": (fifo, "not a regular file"),
    "nan": (tensors(lambda t: t["theta"].fill_(float("nan"))), "'theta' .*not finite"),
    "infinite buffer": (tensors(lambda t: t["buffer.1.running_mean"].fill_(float("inf"))), "not finite"),
    "tensor missing": (tensors(lambda t: t.pop("lambdas")), "lacks the tensor 'lambdas'"),
    "tensor extra": (tensors(lambda t: t.update(x=torch.ones(1))), "unknown tensor 'x'"),
    "tensor shape": (tensors(lambda t: t.update(theta=torch.ones(3, 4))), r"shape \(3, 4\), expected \(12,\)"),
    "tensor type": (tensors(lambda t: t.update(theta=t["theta"].half())), "'theta' is torch.float16 in the artefact"),
    "integer theta": (tensors(lambda t: t.update(theta=t["theta"].long())), "'theta' is torch.int64"),
}


REMEDIES = "save the artefact again|load the base model|load the same revision|give the folder|read it with the version"


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_or_hostile_artefact_is_refused_in_one_sentence(saved: Path, damage: Any, message: str) -> None:
    damage(saved)
    model = net()
    with pytest.raises(ArtefactError, match=message) as caught:
        Subspace.from_pretrained(saved, model)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert re.search(REMEDIES, str(caught.value)), "it says what to do"
    assert str(caught.value).count("got") <= 1
    assert "__init__" not in str(caught.value)
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in net().named_parameters()]
    assert not Path("/tmp/intrinsic-was-here").exists()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(place=st.integers(0, 10**6), junk=st.binary(min_size=1, max_size=8), header=st.booleans())
def test_flipped_bytes_raise_nothing_else(
    place: int, junk: bytes, header: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    Subspace(net(), 14).save_pretrained(folder)
    path = folder / HEADER_FILE if header else tensor_file(folder)
    content = bytearray(path.read_bytes())
    at = place % len(content)
    content[at : at + len(junk)] = junk
    path.write_bytes(content)
    if not header:
        edited(("tensor_sha256",), hashlib.sha256(content).hexdigest())(folder)
    with suppress(IntrinsicError):
        Subspace.from_pretrained(folder, net())


# ---------------------------------------------------------------------- the manifest

names = st.lists(st.sampled_from(["a", "b", "0", "1", "7", "12", "012", "*", "weight"]), min_size=1, max_size=4)
shapes = st.sampled_from([(), (3,), (3, 4)])
roles = st.sampled_from(["subspace", "free", "frozen", "buffer"])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(names.map(".".join), st.tuples(shapes, roles), max_size=30))
def test_the_manifest_says_the_same_when_unpacked(rows: dict[str, Any]) -> None:
    given_rows = {name: TensorRow(name, shape, role) for name, (shape, role) in sorted(rows.items())}
    assert unpack(pack(given_rows.values())) == given_rows
    assert pack(reversed(given_rows.values())) == pack(given_rows.values())


def test_numbered_blocks_share_a_row() -> None:
    rows = [TensorRow(f"h.{i}.w.{j}", (2,), "subspace") for i in (0, 1, 2, 5) for j in (0, 1)]
    assert pack(rows) == (("h.*.w.0", (2,), "subspace", "0-2,5"), ("h.*.w.1", (2,), "subspace", "0-2,5"))
