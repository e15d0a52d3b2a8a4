"""The figure: every trial is on it, words do not collide, the same record gives the same bytes."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import zlib

import matplotlib
import pytest
from matplotlib.collections import PathCollection
from matplotlib.text import Annotation
from records_fake import measured

from intrinsic.report.figure import MARKS, draw, rate_kind, render, style

CASES = {
    "found": {},
    "never-met": {"status": "never-met"},
    "met-at-lowest": {"status": "met-at-lowest"},
    "noisy": {"noise": 0.03},
    "one-seed": {"seeds": 1},
    "lower-is-better": {"lower_is_better": True},
    "open-end": {"open_end": True},
    "not-monotone": {"status": "not-monotone", "noise": 0.05},
    "no-baseline": {"status": "no-baseline"},
    "near-baseline": {"fraction": 0.95},
    "near-chance": {"fraction": 0.66},
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@cases
def test_every_trial_is_drawn_where_it_belongs(case):
    result = measured(**case)
    axes = draw(result).axes[0]
    marks = [c for c in axes.collections if isinstance(c, PathCollection)]
    drawn = {
        label: sorted(map(tuple, c.get_offsets().tolist())) for c in marks if (label := c.get_label()) != "no score"
    }
    trials = [t for t in result.result.trials if t.d is not None and t.score is not None]
    for kind, (_, _, label) in MARKS.items():
        wanted = sorted((t.d, t.score) for t in trials if rate_kind(t, result.result) == kind)
        assert drawn.get(label, []) == wanted
    lost = {t.d for t in result.result.trials if t.d is not None and t.score is None}
    crosses = [c for c in marks if c.get_label() == "no score"]
    assert {x for c in crosses for x, _ in c.get_offsets().tolist()} == lost


@cases
def test_words_touch_neither_each_other_nor_the_page_edge(case):
    with style():
        figure = draw(measured(**case))
        figure.draw_without_rendering()
    axes = figure.axes[0]
    notes = [child for child in axes.get_children() if isinstance(child, Annotation)]
    texts = [t for t in (*notes, axes.xaxis.label, axes.yaxis.label, *axes.texts) if t.get_text()]
    boxes = [t.get_window_extent() for t in dict.fromkeys(texts)]
    boxes += [axes.get_legend().get_window_extent()] if axes.get_legend() else []
    page = figure.bbox
    for box in boxes:
        assert page.x0 <= box.x0, box
        assert box.x1 <= page.x1, box
        assert page.y0 <= box.y0, box
        assert box.y1 <= page.y1, box
    for one, other in itertools.combinations([t.get_window_extent() for t in notes], 2):
        assert not one.overlaps(other)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({}, r"$d_{90}$ = 512 [256, 1024]"),
        ({"open_end": True}, r"$d_{90}$ = 512 [256, …)"),
        ({"fraction": 0.95}, r"$d_{95}$ = 1024"),
        ({"status": "met-at-lowest"}, r"$d_{90}$ ≤ 4 (…, 8]"),
        ({"status": "never-met"}, "target not reached up to d = 4096"),
        ({"status": "not-monotone"}, "no dimension found: not monotone"),
        ({"status": "no-baseline"}, "no baseline, no target"),
    ],
)
def test_the_figure_says_what_was_found(case, words):
    texts = [t.get_text() for t in draw(measured(**case)).axes[0].texts]
    assert any(text.startswith(words) for text in texts), texts


def test_levels_are_named_with_their_numbers():
    texts = " ".join(t.get_text() for t in draw(measured()).axes[0].texts)
    for words in ("baseline 0.775 ± 0.001", "target 0.698", "chance 0.500"):
        assert words in texts


def test_same_record_same_bytes_in_another_process():
    code = (
        "import sys; sys.path.insert(0, 'tests'); import hashlib\n"
        "from records_fake import measured\nfrom intrinsic.report.figure import render\n"
        "for b in render(measured()).values(): print(hashlib.sha256(b).hexdigest())\n"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(runs) == 1
    assert len(runs.pop().split()) == 2


def test_files_carry_no_date_and_true_type_fonts():
    files = render(measured())
    pdf, png = files["curve.pdf"], files["curve.png"]
    assert pdf.startswith(b"%PDF")
    assert png.startswith(b"\x89PNG")
    assert b"CreationDate" not in pdf
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"Software" not in png
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    assert any(b"BT" in zlib.decompress(s) for s in streams if s.startswith(b"x")), "text stays text"


def test_the_users_matplotlib_is_left_alone():
    with matplotlib.rc_context({"font.size": 31, "axes.linewidth": 9}):
        here = render(measured())
        assert matplotlib.rcParams["font.size"] == 31
    assert here == render(measured())


def test_a_hostile_name_is_no_formula():
    result = measured()
    task = result.run.spec.task.model_copy(update={"name": r"a$b_{%\x$"})
    spec = result.run.spec.model_copy(update={"task": task})
    hostile = result.model_copy(update={"run": result.run.model_copy(update={"spec": spec})})
    assert render(hostile)["curve.pdf"] != render(result)["curve.pdf"]
