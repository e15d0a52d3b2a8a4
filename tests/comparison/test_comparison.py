"""`intrinsic compare`: who takes part, at which rate and seeds, what is counted, and what survives."""

from __future__ import annotations

from statistics import fmean

import pytest
from comparisons import BASE, compared, profiler, runner, spec

from intrinsic.comparison import compare, parse_contenders, parse_method, written
from intrinsic.comparison.planned import CompareTrial
from intrinsic.errors import SpecError, StoreError
from intrinsic.records import Latency, Profile
from intrinsic.report.comparison import contents, write_comparison
from intrinsic.report.comparison.tables import notes, scores, smallest, tables
from intrinsic.store import read_comparison

# -- what a user writes


def test_methods_sizes_options_and_rates_are_read():
    full, lora, said, did = parse_contenders("lora:alpha=16:r=8,1:matrices=q+v:lr=1e-3,said:d=100 did", BASE)
    assert (full.label, full.sizes, full.rates) == ("full", (), BASE.baseline_rates)
    assert (lora.size, lora.sizes, lora.rates) == ("rank", (1, 8), (1e-3,))
    assert dict(lora.at(8).options) == {"alpha": 16, "matrices": ("q", "v"), "rank": 8}
    assert (said.method.subspace.structure_aware, did.method.subspace.structure_aware) == (True, False)
    assert said.at(100).subspace_dim == 100
    assert said.rates == did.rates == BASE.subspace_rates
    _, prefix = parse_contenders("prefix:mlp_width=none", BASE)
    assert dict(prefix.method.options)["mlp_width"] is None


@pytest.mark.parametrize(
    "text",
    ["lora:alpha=16:r=8,1:matrices=q+v:lr=1e-3,2.5e-4", "said:d=100,200", "probe", "subspace:of=lora:rank=4:d=20",
     "prefix:mlp_width=none:l=3", "mam:length=2:r=4"],
)  # fmt: skip
def test_what_is_written_is_read_again(text):
    made = parse_contenders(text, BASE)
    assert parse_contenders(",".join(map(written, made)), BASE) == made


def test_a_subspace_of_a_method():
    _, inner = parse_contenders("subspace:of=lora:rank=4:d=20", BASE)
    assert (inner.method.of, dict(inner.method.options), inner.sizes) == ("lora", {"rank": 4}, (20,))


def test_parameters_name_sizes():
    asked = []

    def size_for(contender, parameters):
        asked.append((contender.label, parameters))
        return parameters // 1000

    _, lora = parse_contenders("lora:params=2000,8000", BASE, size_for=size_for)
    assert lora.sizes == (2, 8)
    assert asked == [("lora", 2000), ("lora", 8000)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lor", "unknown method 'lor'; .* did you mean 'lora'"),
        ("probe,lorra:r=2", "unknown method 'lorra"),
        ("pfeiffer:params=2000,pfeifer", "must be numbers, got 'pfeifer', and unknown .* did you mean 'pfeiffer'"),
        (
            "pfeiffer:r=2,pffg:r=3",
            "from 1 to 2147483647, got 2,pffg,3, and unknown method 'pffg'; available: .*, pfeiffer, ",
        ),
        ("lora:lr=1e-3,fast", "lora: lr must be numbers, got 'fast', and unknown method 'fast'"),
        ("lora:rnk=3", "unknown option 'rnk'; .* did you mean 'rank'"),
        ("lora:r=0", "lora: rank must be whole numbers from 1 to 2147483647, got 0"),
        ("lora:r=2,x", "lora: rank must be whole numbers from 1 to 2147483647, got 2,x"),
        ("probe:r=3", "probe has one size only, got 3"),
        ("lora:alpha=1,2", "option alpha takes one value, got 1,2"),
        ("lora:lr=fast", "lora: lr must be numbers, got 'fast'$"),
        ("houlsby:scale=2", "method 'houlsby': .*a scale goes with composition 'scaled'"),
        ("probe:params=10", "probe: params stands for sizes, and it has one size only"),
        ("lora:params=10:r=2", "lora: params stands for sizes, and its sizes are named as well"),
        ("mam:l=4", "mam: l is not its size, which is bottleneck: write r=..; options go by their whole names"),
        ("unilora:r=4", "unilora: r is not its size, which is size: write size=.."),
        ("lora:d=3", "lora: d is not its size, which is rank: write r=.."),
        ("lora:matrices=q+w", "matrices.1: Input should be .*, got 'w'"),
        ('prompt:start=text:text="is it', "a double quote in the methods has no second one"),
        ("", "no method to compare: name some"),
        (
            "said:of=lora:r=2:d=50",
            "each of r, d names the size .*, and lora's own by its whole name, as in rank=2",
        ),
        ("lora:lr=-1", "lora: lr must be learning rates above 0, got -1"),
        ("lora:params=nan", "lora: params must be numbers of parameters from 1, got 'nan'"),
        ("lora:params=inf", "lora: params must be numbers of parameters from 1, got 'inf'"),
        ("prompt:text=a", "^method 'prompt': a text goes with"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(text, said):
    with pytest.raises(SpecError, match=said):
        parse_contenders(text, BASE, size_for=lambda contender, parameters: 1)


def test_a_text_of_several_words_stands_in_quotes():
    text = 'prompt:start=text:text="is it, then: a paraphrase?":l=5,prefix:words="hello world":mlp_width=none probe'
    _, prompt, prefix, probe = made = parse_contenders(text, BASE)
    assert dict(prompt.method.options)["text"] == "is it, then: a paraphrase?"
    assert dict(prefix.method.options)["words"] == "hello world"
    assert (prompt.sizes, probe.label) == ((5,), "probe")
    assert parse_contenders(",".join(map(written, made)), BASE) == made


def test_a_budget_where_nothing_looks_for_its_size_says_so():
    with pytest.raises(SpecError, match="lora: params stands for sizes, which only compare looks for: name rank here"):
        parse_method("lora:params=4000")


def test_one_name_twice_is_refused():
    with pytest.raises(ValueError, match="a name of its own, got lora more than once"):
        spec("lora:r=1,lora:r=2")


# -- trials


def test_seeds_are_paired_over_methods_and_apart_from_those_that_chose_a_rate():
    full, lora, said = spec("lora,said").contenders
    at = [CompareTrial(c, c.middle, 1e-3, 0).trial_spec(spec("lora,said")).seeds for c in (full, lora, said)]
    assert len({s.data_order for s in at}) == len({s.initialisation for s in at}) == 1
    pilot = CompareTrial(lora, 8, 1e-3, 0, "rate").trial_spec(spec("lora,said")).seeds
    assert pilot.data_order != at[1].data_order


def test_each_method_gets_its_own_rate_and_the_grid_grows(tmp_path):
    result = compared("lora:r=8:lr=1.25e-4,2.5e-4,probe:lr=4e-3,full", tmp_path).result
    rates = {row.label: row.learning_rate for row in result.rows}
    assert rates == {"full": 5e-4, "lora": 1e-3, "probe": 4e-3}
    assert result.warnings == (), "a grid that grew far enough is nothing to worry about"


def test_a_rate_at_an_end_of_a_grid_that_grows_no_more_is_a_warning(tmp_path):
    result = compared("lora:r=8:lr=1e-6,2e-6,full", tmp_path).result
    assert [w for w in result.warnings if "the best lora learning rate, 1.6e-05, still lies at an end" in w]


def test_short_names_in_tables_and_their_settings_once(tmp_path):
    from intrinsic.report.comparison.tables import facts

    result = compared("mam:length=2:mlp_width=none:r=4:lr=1e-3", tmp_path)
    assert [row[0] for row in scores(result)[1]] == ["full", "mam r=4"]
    assert dict(facts(result))["settings"] == "mam: length=2, mlp_width=none"


def test_rows_are_means_over_fresh_seeds_and_gaps_against_full(tmp_path):
    result = compared("lora:r=1,8:lr=1e-3,said:d=100", tmp_path).result
    assert [(row.label, row.size) for row in result.rows] == [("full", None), ("lora", 1), ("lora", 8), ("said", 100)]
    full, small, large, _ = result.rows
    assert full.optimisation_gap == 0
    assert small.optimisation_gap == pytest.approx(small.mean - full.mean, abs=0.01)
    assert large.mean == pytest.approx(0.5 + 0.39 * 0.8, abs=0.005) == pytest.approx(fmean(large.scores), abs=0.005)
    assert len(large.scores) == BASE.search.seeds
    assert small.parameters_trained == 10
    assert result.cost.trials == 4 * BASE.search.seeds


def test_smallest_sizes_are_found_by_the_search(tmp_path):
    result = compared("lora:r=1,2,4,8,16,32,64:lr=1e-3,said,probe:lr=4e-3", tmp_path, at=0.9).result
    assert result.target == pytest.approx(0.81, abs=0.01)
    found = {s.label: s for s in result.smallest}
    assert set(found) == {"lora", "said"}, "a method of one size has none to search for"
    assert found["lora"].search.status == found["said"].search.status == "found"
    assert found["lora"].search.d == 8  # 0.5 + 0.39 r / (r + 2) reaches 0.81 at 7.75
    assert found["said"].search.d == 256  # 0.5 + 0.38 d / (d + 40) reaches 0.81 at 177
    assert found["lora"].parameters_trained == 80
    assert {(row.label, row.size) for row in result.rows} == {
        ("full", None),
        ("probe", None),
        ("lora", 8),
        ("said", 256),
    }


def test_a_row_that_does_not_reach_is_told_beside_its_size_that_is_found(tmp_path):
    """The row's seeds, which all methods share, need not be those the search judged by."""
    result = compared("lora:r=1,2,4,8,16,32,64:lr=1e-3,said", tmp_path, at=0.9)
    rows = [
        row.model_copy(update={"mean": 0.8, "scores": (0.81, 0.79)}) if row.label == "lora" else row
        for row in result.result.rows
    ]
    below = result.model_copy(update={"result": result.result.model_copy(update={"rows": tuple(rows)})})
    assert not any("In the table of scores" in note for note in notes(result))
    (told,) = (note for note in notes(below) if note.startswith("lora:"))
    assert told.endswith("In the table of scores its mean, 0.8000 over 2 seeds, does not reach the target.")


def test_one_size_leaves_nothing_to_search_and_no_trial_is_paid(tmp_path):
    asked = []
    with pytest.raises(SpecError, match=r"lora: --at searches .* needs two or more, got r=8: name more"):
        compare(spec("lora:r=8:lr=1e-3,said", 0.9), tmp_path, runner=asked.append, profiler=profiler)
    assert asked == []


def test_a_searchs_message_names_what_compare_has(tmp_path):
    result = compared("lora:r=32,64:lr=1e-3,vera:r=1,2:lr=1e-3", tmp_path, at=0.9).result
    told = {found.label: found.search.message for found in result.smallest}
    assert "the lowest size tried, r=32, already reaches" in told["lora"]
    assert told["lora"].endswith(": give a smaller r in --methods.")
    assert "no size up to r=2 reaches" in told["vera"]
    assert "give a larger r in --methods, train longer, or lower --at" in told["vera"]


def test_a_target_near_chance_is_a_warning(tmp_path):
    found = compared("lora:r=32,64:lr=1e-3", tmp_path, at=0.57).result
    assert any("is not more than 2 points better than the best constant answer's" in told for told in found.warnings)


def test_full_fine_tuning_near_chance_is_a_warning_without_a_search_too(tmp_path):
    def lost(trial, **more):
        made = runner(trial)
        return made.model_copy(update={"train": made.train.model_copy(update={"score": made.train.chance})})

    found = compare(spec("probe:lr=4e-3"), tmp_path, runner=lost, profiler=profiler).result
    assert any("full fine-tuning's score" in told and "best constant answer" in told for told in found.warnings)
    assert compared("probe:lr=4e-3", tmp_path / "well").result.warnings == ()


def test_methods_of_one_size_say_whether_they_reach_the_target(tmp_path):
    low, high = (compared("lora:r=1,64:lr=1e-3,probe:lr=4e-3", tmp_path / str(at), at=at) for at in (0.6, 0.95))
    for result, status, reached in ((low, "reaches it", "True"), (high, "stays below", "False")):
        _, cells = dict(tables(result))[f"Smallest size at {100 * result.run.spec.at:g} % of full fine-tuning"]
        assert cells[-1] == ("probe", "one size", "–", "10,000", "2", status)
        lines = [line.split(",") for line in str(contents(result)["smallest.csv"]).splitlines()]
        assert [line[0] for line in lines] == ["label", "lora", "probe"]
        assert lines[-1][5:] == ["10000", "2", "one-size", reached, repr(result.result.target)]
        assert any("the head alone (10,000 parameters) reaches" in note for note in notes(result)) == (
            reached == "True"
        )


def test_latencies_that_say_nothing_are_noted(tmp_path):
    def restless(trial):
        full = 2.0 if trial.method.name == "full" else 2.8
        return Profile(peak_bytes=10**6, latencies=(Latency(batch_size=16, full=full, unmerged=3.0, merged=None),))

    found = compare(spec("probe:lr=4e-3"), tmp_path / "a", runner=runner, profiler=restless)
    assert "the full model itself took 2 to 2.8 ms at batch 16, from" in notes(found)[-1]
    assert notes(compared("probe:lr=4e-3", tmp_path / "b")) == []


@pytest.mark.parametrize(
    ("text", "near"), [("adalora:params=5000", 5000), ("adalora:params=20000", 20000), ("lora:params=6000", 6000)]
)
def test_a_budget_is_met_by_what_is_really_trained(text, near):
    from intrinsic.comparison.budget import size_for
    from intrinsic.methods import attach
    from intrinsic.models import load_model
    from intrinsic.spec import ModelSpec, SeedSpec, TaskSpec

    base = BASE.model_copy(
        update={"task": TaskSpec(name="rotten-tomatoes", limit=20), "model": ModelSpec(name="minilm", layers=1)}
    )
    contender = parse_contenders(text, base, size_for=lambda made, number: size_for(base, made, number))[1]
    loaded = load_model(base.model, num_labels=2, problem="classification", kind="text", seed=0)
    trained = attach(loaded, contender.method, SeedSpec()).parameters_trained
    assert abs(trained - near) <= 0.2 * near
    for number, told in (
        (10**12, "at most the .* that full fine-tuning trains"),
        (800, "name about as many"),
    ):
        with pytest.raises(SpecError, match=told):
            size_for(base, contender, number)


def test_the_same_command_again_runs_nothing_and_keeps_the_profiles(tmp_path):
    first = compared("lora:r=1:lr=1e-3", tmp_path)

    def never(spec):
        raise AssertionError("nothing is left to do")

    again = compare(spec("lora:r=1:lr=1e-3"), tmp_path, runner=never, profiler=never)
    assert again.result.rows == first.result.rows
    assert again.result.cost.reused == again.result.cost.trials
    assert read_comparison(tmp_path) == again == read_comparison(tmp_path, again.run.compare_id)


def test_a_kill_loses_no_finished_trial(tmp_path):
    asked = []

    def dies(trial, **more):
        asked.append(trial.id)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return runner(trial)

    with pytest.raises(KeyboardInterrupt):
        compare(spec("lora:r=1:lr=1e-3,probe:lr=4e-3"), tmp_path, runner=dies, profiler=profiler)
    before = set(asked[:3])
    result = compare(spec("lora:r=1:lr=1e-3,probe:lr=4e-3"), tmp_path, runner=dies, profiler=profiler)
    assert len(asked) == 4 + 6 - 3
    assert before.isdisjoint(asked[4:])
    assert result.result.cost.reused == 3


def test_trials_that_fail_are_counted_and_leave_no_hole(tmp_path):
    def diverges(trial, **more):
        made = runner(trial)
        if trial.method.name != "lora":
            return made
        run = made.run.model_copy(update={"status": "diverged", "error": "loss is nan"})
        return made.model_copy(update={"run": run, "train": made.train.model_copy(update={"score": None})})

    result = compare(
        spec("lora:r=1:lr=1e-3"), tmp_path, runner=diverges, profiler=profiler, command="intrinsic compare"
    )
    row = result.result.rows[1]
    assert (row.scores, row.mean, row.failed, row.profile) == ((), None, 2, None)
    assert all(
        text and "None" not in str(text) for name, text in contents(result).items() if name.endswith(("md", "tex"))
    )


# -- what is written


def test_every_file_is_written_and_says_the_same(tmp_path):
    result = compared("lora:r=1,8:lr=1e-3,said:d=100", tmp_path)
    written = {path.name: path for path in write_comparison(result, tmp_path)}
    assert set(written) == {"comparison.md", "comparison.tex", "comparison.csv", "pareto.png", "pareto.pdf"}
    text, tex = written["comparison.md"].read_text(), written["comparison.tex"].read_text()
    for _, (header, rows) in tables(result):
        assert all(len(row) == len(header) for row in rows)
        assert all(row[0] in text and row[0] in tex for row in rows)
    lines = written["comparison.csv"].read_text().splitlines()
    assert len({line.count(",") for line in lines}) == 1
    assert len(lines) == 1 + len(result.result.rows)
    assert contents(result) == contents(read_comparison(tmp_path)), "same record, same bytes"


def test_the_tables_cells(tmp_path):
    result = compared("lora:r=1,2,4,8,16:lr=1e-3", tmp_path, at=0.9)
    header, rows = scores(result)
    assert header[:3] == ("method", "score", "n")
    assert [row[0] for row in rows] == ["full", "lora r=8"]
    assert smallest(result)[1][0][:2] == ("lora", "r = 8")
    assert rows[1][-1] == "1.0 MB"


def test_a_folder_without_a_comparison_is_said(tmp_path):
    with pytest.raises(StoreError, match=r"no comparison at .*: `intrinsic compare --output-dir"):
        read_comparison(tmp_path)


# -- the command


def test_the_command_prints_the_tables_and_report_prints_them_again(capsys, monkeypatch, tmp_path):
    import functools

    from intrinsic_cli import compare as verb
    from intrinsic_cli import main as command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verb, "compare", functools.partial(compare, runner=runner, profiler=profiler))
    flags = ["--seeds", "2", "--methods", "lora:r=1,8:lr=1e-3,said:d=100", "--output-dir", "out"]
    rates = ["--baseline-rates", "5e-4", "--subspace-rates", "4e-3"]
    assert command.main(["compare", *flags, *rates]) == 0
    first = capsys.readouterr().out
    assert "Scores, and the cost of training" in first
    assert "lora r=8" in first
    assert "intrinsic compare --baseline-rates 5e-4" in " ".join(first.split())
    assert command.main(["report", "out"]) == 0
    again = capsys.readouterr().out
    assert again.strip() in first
    assert command.main(["compare", *flags, "--dry-run"]) == 0
    assert "# lora: rates 0.001; rank 1, 8" in capsys.readouterr().out
    assert command.main(["compare", "--methods", "lorra"]) == 2
    assert "unknown method 'lorra'" in capsys.readouterr().err
    assert command.main(["compare", "--at", "1.5"]) == 2
    assert "--at must be a share of full fine-tuning's score, above 0 and at most 1, got 1.5" in capsys.readouterr().err


def test_methods_that_do_not_apply_are_left_out_of_the_default_and_refused_by_name(capsys, monkeypatch, tmp_path):
    from intrinsic_cli import main as command

    monkeypatch.chdir(tmp_path)
    assert command.main(["compare", "--task", "digits", "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "left out, as mlp lacks what they are laid over: lora, houlsby, " in shown.err
    assert "full, probe, bitfit, said, did\n" in shown.out
    assert command.main(["compare", "--task", "digits", "--methods", "lora", "--dry-run"]) != 0
    assert "method 'lora' looks for attention" in " ".join(capsys.readouterr().err.split())


def test_a_file_holds_methods_and_share_and_flags_go_on_top(capsys, tmp_path):
    from intrinsic_cli import main as command

    assert command.main(["compare", "--methods", "lora:r=1,8,said:d=100,200", "--at", "0.8", "--dry-run"]) == 0
    plan = capsys.readouterr().out
    (tmp_path / "a.yaml").write_text(plan)
    assert command.main(["compare", "--config", str(tmp_path / "a.yaml"), "--dry-run"]) == 0
    assert capsys.readouterr().out == plan
    (tmp_path / "a.yaml").write_text("methods: [probe, 'lora:r=1,8']\n")
    assert command.main(["compare", "--config", str(tmp_path / "a.yaml"), "--dry-run"]) == 0
    assert "full, probe, lora" in capsys.readouterr().out
    assert command.main(["compare", "--config", str(tmp_path / "a.yaml"), "--methods", "ia3", "--dry-run"]) == 0
    assert "full, ia3\n" in capsys.readouterr().out
    (tmp_path / "a.yaml").write_text("methods: 3\n")
    assert command.main(["compare", "--config", str(tmp_path / "a.yaml")]) != 0
    assert "`methods` in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "told", "value"),
    [
        ("global:0.8", "0.9 × 0.8", 0.72),
        ("chance-corrected", "chance", 0.5 + 0.9 * (0.9 - 0.5)),
    ],
)
def test_the_target_is_the_one_that_is_asked_for(capsys, monkeypatch, tmp_path, target, told, value):
    import functools

    from intrinsic_cli import compare as verb
    from intrinsic_cli import main as command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verb, "compare", functools.partial(compare, runner=runner, profiler=profiler))
    flags = [
        "--baseline-rates",
        "5e-4",
        "--seeds",
        "2",
        "--methods",
        "lora:r=1,2,4,8,16:lr=1e-3",
        "--output-dir",
        "out",
    ]
    assert command.main(["compare", *flags, "--target", target, "--at", "0.9"]) == 0
    assert told in " ".join(capsys.readouterr().out.split())
    assert read_comparison("out").result.target == pytest.approx(value, abs=0.005)


def test_a_share_of_what_is_better_when_lower_is_refused(tmp_path):
    def lower(trial, **more):
        made = runner(trial)
        return made.model_copy(update={"train": made.train.model_copy(update={"higher_is_better": False})})

    with pytest.raises(SpecError, match=r"'own' is a share of a score, .* lower: use --target chance-corrected"):
        compare(spec("lora:r=1,2:lr=1e-3", 0.9), tmp_path, runner=lower, profiler=profiler)


def test_ls_runs_shows_a_comparison(capsys, tmp_path):
    from intrinsic_cli import main as command

    compared("lora:r=1,8:lr=1e-3", tmp_path / "a")
    assert command.main(["ls", "runs", str(tmp_path)]) == 0
    assert "2 methods compared" in " ".join(capsys.readouterr().out.split())
