"""Published tables as experiments: every page is one that the command takes, and its numbers are the paper's."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
import shlex
from collections import defaultdict
from pathlib import Path

import pytest
import records_fake
import synthetic
import yaml
from method_models import COMMON
from paths import ROOT, experiment
from toy import Loaded

from intrinsic.comparison import compare, parse_contenders
from intrinsic.methods import attach
from intrinsic.models.quiet import quiet
from intrinsic.records import Latency, Profile
from intrinsic.report.comparison.tables import name as shown_name
from intrinsic.spec import CompareSpec, SeedSpec, TargetSpec
from intrinsic.store import Store

FOLDER = ROOT / "experiments" / "published"
PAGES = sorted(FOLDER.glob("*.yaml"))
COMPARED = [page for page in PAGES if page.stem.startswith(("he2022", "hu2021"))]
MEASURED = [page for page in PAGES if page.stem.startswith("aghajanyan2020")]
TRAIN = {
    "mnli": 392_702, "sst2": 67_349, "mrpc": 3_668, "cola": 8_551,
    "qnli": 104_743, "qqp": 363_846, "rte": 2_490, "stsb": 5_749,
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    return experiment("published/check")


def read(page: Path) -> dict:
    return yaml.safe_load(page.read_text())


def numbers() -> list[dict[str, str]]:
    with (FOLDER / "expected.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# -- the pages


def test_every_table_has_its_pages():
    assert {page.stem for page in COMPARED} == {
        *(f"he2022-{task}" for task in ("mnli", "sst2")),
        *(f"hu2021-{task}" for task in TRAIN),
    }
    assert len(MEASURED) == 8
    assert len(PAGES) == len(COMPARED) + len(MEASURED)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_command_takes_the_page_as_it_is(page, cli, script):
    words = shlex.split(read(page)["command"])
    verb = "measure" if page in MEASURED else "compare"
    path = f"experiments/published/{page.name}"
    assert words == ["intrinsic", verb, "--config", path, "--output-dir", f"runs/{page.stem}"]
    words[words.index(path)] = str(page)
    code, out, err = cli(*words[1:], "--dry-run")
    assert (code, err) == (0, "")
    shown = yaml.safe_load(out)
    told = read(page)["spec"]
    assert shown["model"]["name"] == told["model"]["name"]
    assert shown["optim"]["epochs"] == told["optim"]["epochs"]
    made = script.read_page(page.stem)
    assert parse_contenders(",".join(shown.get("methods", ["full"])), made.base)[1:] == made.contenders[1:]
    assert len(made.contenders) == len(told.get("methods", ()))


@pytest.mark.parametrize("page", MEASURED, ids=lambda p: p.stem)
def test_the_second_command_of_a_measurement_is_the_first_for_did(page, cli):
    first, second = (shlex.split(read(page)[key]) for key in ("command", "command_did"))
    assert second == [*first[:4], "--did", "--output-dir", f"runs/{page.stem}-did"]
    code, out, _ = cli("measure", "--config", str(page), "--did", "--dry-run")
    assert code == 0
    assert yaml.safe_load(out)["structure_aware"] is False


@pytest.mark.parametrize("page", COMPARED, ids=lambda p: p.stem)
def test_an_evaluation_an_epoch_as_in_the_papers(page):
    spec = read(page)["spec"]
    assert spec["optim"]["eval_every"] == math.ceil(TRAIN[spec["task"]["name"]] / spec["optim"]["batch_size"])
    assert spec["optim"]["policy"] == "best"
    assert spec["search"]["seeds"] == 5


@pytest.mark.parametrize("page", ["he2022-sst2", "aghajanyan2020-mrpc-roberta-base"])
def test_without_the_hub_it_is_said_at_once(page, cli, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    verb = "measure" if "aghajanyan" in page else "compare"
    code, _, err = cli(verb, "--config", str(FOLDER / f"{page}.yaml"), "--output-dir", "out")
    assert code == 2
    assert re.search(r"model 'FacebookAI/roberta-base' is neither .* unset it, or give --model a local folder", err)


# -- the numbers


def test_every_number_has_a_page_that_runs_it_and_every_contender_a_number(script):
    told, run = defaultdict(set), defaultdict(set)
    for row in numbers():
        told[row["table"], row["model"], row["task"]].add(row["contender"])
    for path in PAGES:
        page = script.read_page(path.stem)
        key = (page.table, page.base.model.name.rpartition("/")[2], page.base.task.name)
        for contender in page.contenders:
            run[key] |= {
                shown_name(contender.label, contender.method.name, size) for size in contender.sizes or (None,)
            }
        run[key] |= set() if page.contenders else {"said", "did"}
    assert told == run


def test_every_number_says_where_it_stands():
    for row in numbers():
        assert re.search(r"\(arXiv:\d{4}\.\d{5}(v\d)?\), Table \d$", row["source"])
        assert row["use"] in ("verdict", "shown")
        assert row["use"] == "verdict" or row["remark"]


def test_the_scores_of_lora_average_to_the_averages_that_its_table_prints():
    printed = {"FT": 86.4, "BitFit": 85.2, "AdptD (0.3M)": 84.4, "AdptD (0.9M)": 85.4, "LoRA": 87.2}
    scores = defaultdict(dict)
    for row in numbers():
        if row["table"] == "hu2021-2":
            scores[row["method"]][row["task"]] = float(row["score"])
    assert scores.keys() == printed.keys()
    for method, by_task in scores.items():
        assert by_task.keys() == TRAIN.keys()
        assert sum(by_task.values()) / 8 == pytest.approx(printed[method], abs=0.05 + 1e-9)


def roberta(layers: int) -> Loaded:
    """RoBERTa-base's widths, few layers and words."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    sizes = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": layers}
    with quiet():
        model = RobertaForSequenceClassification(RobertaConfig(**COMMON | sizes))
    return Loaded(model, head_names=("classifier",), embedding_names=())


def stored(method) -> int:
    """Scalars that a method keeps in RoBERTa-base besides the head: the same in each of its 12 layers."""
    one, two = (
        made.parameters_stored - made.head_parameters
        for made in (attach(roberta(layers), method, SeedSpec()) for layers in (1, 2))
    )
    return one + 11 * (two - one)


@pytest.mark.parametrize("name", ["he2022-sst2", "hu2021-sst2"])
def test_what_the_pages_train_is_as_many_as_the_papers_say(script, name):
    page = script.read_page(name)
    published = {line.contender: line.parameters for line in page.expected}
    for contender in page.contenders:
        for size in contender.sizes or (None,):
            told = published[shown_name(contender.label, contender.method.name, size)]
            if contender.label == "full":
                assert told in ("100%", "125.0M")
                continue
            count = stored(contender.at(size))
            ours = f"{100 * count / 125e6:.1f}%" if told.endswith("%") else f"{count / 1e6:.1f}M"
            assert ours == told


# -- the check


SCORES = {"full": 94.8, "prefix": 93.2, "lora": 94.4, "adapter": 94.0, "mam": 94.2, "bitfit": 90.0}
"""Published: 94.6 ± .4, 94.0 ± .1, 94.2 ± .2, 94.2 ± .1, 94.2 ± .3, 93.7."""


def runner(spec, *, progress=None, threads=None):
    made = synthetic.result(spec.model_copy(update={"method": synthetic.spec(None).method}))
    noise = 0.1 * ((spec.seeds.data_order % 1000) / 500 - 1)
    train = made.train.model_copy(
        update={
            "score": (SCORES[spec.method.name] + noise) / 100,
            "parameters_stored": 1_182_914,
            "head_parameters": 592_130,
        }
    )
    run = made.run.model_copy(update={"trial_id": spec.id, "spec": spec})
    return made.model_copy(update={"run": run, "train": train})


def profiler(spec) -> Profile:
    return Profile(peak_bytes=10**6, latencies=(Latency(batch_size=1, full=2.0, unmerged=3.0, merged=None),))


def compared(page, folder, *, without: str = "", **base) -> None:
    """A finished comparison by the page, in a folder."""
    contenders = tuple(c for c in page.contenders if c.method.name != without)
    spec = CompareSpec(base=page.base.model_copy(update=base), contenders=contenders)
    command = f"intrinsic compare --config experiments/published/{page.name}.yaml"
    compare(spec, folder, runner=runner, profiler=profiler, command=command)


def cells(out: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("| ")]
    return {row[0]: row[1:] for row in rows}


def test_a_comparison_is_set_beside_the_paper(script, tmp_path, capsys):
    compared(script.read_page("he2022-sst2"), tmp_path)
    assert script.main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    table = cells(out)
    assert {method: row[-1] for method, row in table.items() if method != "method"} == {
        "Full-FT": "agree", "Bitfit": "–", "Prefix": "disagree", "LoRA": "agree", "Adapter": "agree",
        "MAM Adapter": "agree",
    }  # fmt: skip
    share, count, published, ours, n, difference, units, _ = table["Prefix"]
    assert (share, count, published, n) == ("0.5%", "0.59M", "94.0 ± 0.1", "5")
    assert table["Full-FT"][1] == "1.18M"
    assert 93.1 <= float(ours.split(" ± ")[0]) <= 93.3
    assert -0.9 <= float(difference) <= -0.7
    assert -8 <= float(units) <= -4
    assert "- Bitfit: copied by the paper from Ben Zaken et al. 2021" in out
    assert "settings differ" not in out
    assert out.endswith("4 of 5 agree; 1 without a verdict\n")


def test_units_are_of_both_spreads_and_of_rounding(script, tmp_path):
    page = script.read_page("he2022-sst2")
    compared(page, tmp_path)
    line = next(x for x in script.lines(page, script.read_comparison(tmp_path)) if x.expected.method == "LoRA")
    joint = math.sqrt(0.2**2 + (100 * line.row.std) ** 2 + 0.1**2 / 12)
    assert line.units == pytest.approx((line.ours - 94.2) / joint)


def test_one_seed_leaves_the_papers_spread_and_none_leaves_no_verdict(script, tmp_path):
    page = script.read_page("he2022-sst2")
    compared(page, tmp_path, search=page.base.search.model_copy(update={"seeds": 1}))
    found = {x.expected.method: x for x in script.lines(page, script.read_comparison(tmp_path))}
    assert found["LoRA"].units == pytest.approx(found["LoRA"].difference / math.hypot(0.2, 0.1 / math.sqrt(12)))
    bitfit = found["Bitfit"]
    assert bitfit.units is None
    judged = script.Line(dataclasses.replace(bitfit.expected, use="verdict"), bitfit.row)
    assert judged.verdict == "no spread"


def test_what_differs_from_the_page_is_said_and_what_was_not_run(script, tmp_path, capsys):
    page = script.read_page("he2022-sst2")
    task = page.base.task.model_copy(update={"data_dir": "/somewhere"})
    compared(page, tmp_path, without="prefix", task=task, search=page.base.search.model_copy(update={"seeds": 2}))
    assert script.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "- settings differ: search.seeds 5 -> 2" in out
    assert "data_dir" not in out
    assert cells(out)["Prefix"][-1] == "not run"


def test_runs_that_start_elsewhere_get_no_verdict(script):
    lora = {e.task: e for e in script.expected() if e.table == "hu2021-2" and e.method == "LoRA"}
    assert {task for task, e in lora.items() if e.use == "shown"} == {"mrpc", "rte", "stsb"}
    assert all("starts from a model adapted to MNLI" in lora[task].remark for task in ("mrpc", "rte", "stsb"))


def test_another_metric_is_refused(script, tmp_path, capsys):
    compared(script.read_page("he2022-sst2"), tmp_path)
    assert script.main([str(tmp_path), "--page", "hu2021-cola"]) == 2
    assert "hu2021-cola publishes matthews, but the run's scores are accuracy" in capsys.readouterr().err


@pytest.mark.parametrize(("aware", "middle", "verdict", "code"), [(True, 512, "agree", 0), (False, 40, "disagree", 1)])
def test_a_measurement_is_set_beside_the_paper(script, tmp_path, capsys, aware, middle, verdict, code):
    page = script.read_page("aghajanyan2020-mrpc-roberta-base")
    record = measured(page, aware, middle)
    with Store(tmp_path) as store:
        store.put_measurement(record)
    assert script.main([str(tmp_path)]) == code
    out = capsys.readouterr().out
    published = 896 if aware else 1000
    name = "SAID" if aware else "DID"
    assert f"{name}: published d90 {published}, ours {middle} [{middle // 2}, {middle * 2}]: {verdict}" in out
    assert "settings differ" not in out


def measured(page, aware: bool, d: int, status: str = "found"):
    """A canned measurement by the page, with the interval [d/2, 2d]."""
    base = page.base.model_copy(update={"structure_aware": aware, "target": TargetSpec(fraction=0.9)})
    record = records_fake.measured(status, spec=base)
    search = record.result.search.model_copy(update={"d": d, "interval": (d / 2, 2.0 * d)})
    run = record.run.model_copy(update={"command": f"intrinsic measure --config published/{page.name}.yaml"})
    return record.model_copy(update={"run": run, "result": record.result.model_copy(update={"search": search})})


def test_a_search_that_found_nothing_gets_no_verdict(script):
    page = script.read_page("aghajanyan2020-mrpc-roberta-base")
    told, disagree = script.measurement(page, measured(page, True, 32, "met-at-lowest"))
    assert "no verdict, the search ended as met-at-lowest" in told[2]
    assert not disagree


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], r"holds no comparison.json and no result.json: run a page of published/ first"),
        (["--page", "he2023"], r"there is no page 'he2023': give --page one of aghajanyan2020-mrpc-bert-base, "),
    ],
)
def test_what_cannot_be_checked_is_told_in_one_sentence(script, tmp_path, capsys, arguments, said):
    if arguments:
        compared(script.read_page("he2022-sst2"), tmp_path)
    assert script.main([str(tmp_path), *arguments]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_command_without_a_page_asks_for_one(script):
    with pytest.raises(
        script.SpecError, match=r"the run's command \(intrinsic compare\) names no page .*: give --page"
    ):
        script.page_of("intrinsic compare", None)


# -- the explanation


def test_the_readme_tells_every_page_and_what_it_costs(script):
    text = (FOLDER / "README.md").read_text()
    for path in COMPARED:
        page = script.read_page(path.stem)
        steps = round(page.base.optim.epochs * page.base.optim.eval_every)
        pilots = sum(len(c.rates) for c in page.contenders if len(c.rates) > 1)
        trials = pilots + page.base.search.seeds * sum(len(c.sizes) or 1 for c in page.contenders)
        assert f"| [{path.stem}]({path.name}) | {trials} | {steps:,} | {page.base.optim.batch_size} |" in text
    for path in MEASURED:
        page = script.read_page(path.stem)
        said, did = (line.score for line in page.expected)
        per_epoch = math.ceil(TRAIN[page.base.task.name] / page.base.optim.batch_size)
        steps = round(page.base.optim.epochs * per_epoch)
        assert f"| [{path.stem}]({path.name}) | {said:g} / {did:g} | {steps:,} |" in text
