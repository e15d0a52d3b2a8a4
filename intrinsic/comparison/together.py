"""Plans side by side: each asks for trials and waits, and what all have asked for runs at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from intrinsic.comparison.field import Asker, Entry, Field
from intrinsic.records import TrialResult, TrialTrain
from intrinsic.spec import CompareSpec

T = TypeVar("T")


def side_by_side(field: Field, plans: Sequence[Callable[[Asker], T]]) -> list[T]:
    """What the plans return, in their order; a plan asks the Asker it is given for trials, as often as it likes.

    With one slot they run one after the other. With several, each has a thread of its own and they go in rounds: a
    round begins when every plan has asked or has returned, and runs all that was asked for. Store and executor stay
    with the calling thread, and plans never run while trials do, so that nothing else is shared. The first error,
    of a plan or of a round, ends all of them and is raised.
    """
    if field.slots == 1:
        return [plan(field) for plan in plans]
    table = _Table(field, len(plans))
    seats = [_Seat(table, plan) for plan in plans]
    for seat in seats:
        threading.Thread(target=seat.work, daemon=True, name="intrinsic-plan").start()
    try:
        while requests := table.collected():
            results = iter(field.run([entry for request in requests for entry in request.entries]))
            table.hand_out({id(request): [next(results) for _ in request.entries] for request in requests})
    finally:
        table.close()
    return [seat.returned[0] for seat in seats]


@dataclass(frozen=True)
class _Request:
    entries: Sequence[Entry]


class _ClosedError(Exception):
    """The round has ended without an answer."""


class _Table:
    """Where plans leave their requests and find the answers."""

    def __init__(self, field: Field, plans: int) -> None:
        self.field = field
        self._changed = threading.Condition()
        self._working = plans
        """Plans that have neither asked nor returned since the last round."""
        self._requests: list[_Request] = []
        self._answers: dict[int, list[TrialResult]] = {}
        self._error: BaseException | None = None
        self._closed = False

    def ask(self, request: _Request) -> list[TrialResult]:
        with self._changed:
            self._requests.append(request)
            self._left()
            self._changed.wait_for(lambda: id(request) in self._answers or self._closed)
            if self._closed:
                raise _ClosedError
            return self._answers.pop(id(request))

    def leave(self, error: BaseException | None) -> None:
        """A plan has returned, or raised."""
        with self._changed:
            self._error = self._error or error
            self._left()

    def _left(self) -> None:
        self._working -= 1
        self._changed.notify_all()

    def collected(self) -> list[_Request]:
        """The requests of the next round, once all plans have made theirs; none when all have returned."""
        with self._changed:
            self._changed.wait_for(lambda: self._working == 0)
            if self._error is not None:
                raise self._error
            requests, self._requests = self._requests, []
            return requests

    def hand_out(self, answers: dict[int, list[TrialResult]]) -> None:
        with self._changed:
            self._working = len(answers)
            self._answers.update(answers)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class _Seat(Asker, Generic[T]):
    """What a plan sees of the field."""

    def __init__(self, table: _Table, plan: Callable[[Asker], T]) -> None:
        self._table, self._plan = table, plan
        self.returned: list[T] = []

    @property
    def spec(self) -> CompareSpec:
        return self._table.field.spec

    def run(self, entries: Sequence[Entry]) -> list[TrialResult]:
        return self._table.ask(_Request(tuple(entries)))

    def facts(self) -> TrialTrain:
        return self._table.field.facts()

    def work(self) -> None:
        error: BaseException | None = None
        try:
            self.returned.append(self._plan(self))
        except _ClosedError:
            pass
        except BaseException as raised:
            error = raised
        self._table.leave(error)
