"""Pilots and searches of several methods side by side: the same results, more trials at a time."""

from __future__ import annotations

import threading

import pytest
from comparisons import compared

from intrinsic.comparison.together import side_by_side
from intrinsic.measurement.trials import Asker

METHODS = "lora:r=1,2,4,8,16,32,64,vera:r=1,2,4:lr=1e-3,said:d=10,20,40,80,160,320,probe:lr=4e-3"


class Rounds(Asker):
    """A field whose trials are numbers, and their results the same numbers times ten."""

    spec = None

    def __init__(self, slots: int = 3) -> None:
        self.slots, self.rounds = slots, []

    def run(self, entries):
        if 13 in entries:
            raise RuntimeError("no luck")
        self.rounds.append(list(entries))
        return [10 * entry for entry in entries]

    def facts(self):
        return "facts"


def counting(first: int, count: int):
    """A plan that asks for `count` trials, one after the other."""

    def plan(asker):
        return [asker.run([first + i])[0] for i in range(count)]

    return plan


def test_a_comparison_with_jobs_is_the_one_without(tmp_path):
    alone = compared(METHODS, tmp_path / "alone", at=0.9).result
    together = compared(METHODS, tmp_path / "together", at=0.9, jobs=2).result
    assert together.rows == alone.rows
    assert together.smallest == alone.smallest
    assert together.warnings == alone.warnings
    assert together.cost.trials == alone.cost.trials


def test_a_round_holds_what_all_plans_ask_for_and_answers_go_to_those_who_asked():
    field = Rounds()
    got = side_by_side(field, [counting(0, 3), counting(100, 1), lambda asker: asker.facts(), counting(200, 2)])
    assert got == [[0, 10, 20], [1000], "facts", [2000, 2010]]
    assert [sorted(asked) for asked in field.rounds] == [[0, 100, 200], [1, 201], [2]]


def test_one_slot_takes_one_plan_after_the_other():
    field = Rounds(slots=1)
    assert side_by_side(field, [counting(0, 2), counting(100, 2)]) == [[0, 10], [1000, 1010]]
    assert field.rounds == [[0], [1], [100], [101]]


def test_an_empty_list_of_plans_runs_nothing():
    assert side_by_side(Rounds(), []) == []


def broken(asker):
    asker.run([5])
    raise ValueError("a plan that breaks")


@pytest.mark.parametrize(
    ("plan", "error", "said"), [(broken, ValueError, "breaks"), (counting(13, 1), RuntimeError, "no luck")]
)
def test_the_first_error_ends_all_and_leaves_no_thread(plan, error, said):
    before = set(threading.enumerate())
    with pytest.raises(error, match=said):
        side_by_side(Rounds(), [counting(0, 100), plan])
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
