"""Several inquiries side by side: each asks for trials and waits, and all that they ask for runs together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from intrinsic.measurement.events import Asked
from intrinsic.measurement.trials import Asker, Trials
from intrinsic.records import TrialResult, TrialTrain

T = TypeVar("T")
"""The type of what an inquiry returns."""


def side_by_side(trials: Trials[Asked], inquiries: Sequence[Callable[[Asker[Asked]], T]]) -> list[T]:
    """Run inquiries and return their values, in order. An inquiry asks an Asker for trials, as often as it likes.

    With one slot they run one after the other. With several, each has a thread of its own and they go in rounds: a
    round begins when every inquiry has asked or has returned, and runs all that was asked for. Store and executor stay
    with the calling thread, and inquiries never run while trials do, so that nothing else is shared. The first error,
    of an inquiry or of a round, ends all of them and is raised.
    """
    if trials.slots == 1:
        return [inquiry(trials) for inquiry in inquiries]
    table = _Table(trials, len(inquiries))
    seats = [_Seat(table, inquiry) for inquiry in inquiries]
    for seat in seats:
        threading.Thread(target=seat.work, daemon=True, name="intrinsic-inquiry").start()
    try:
        while requests := table.collected():
            results = iter(trials.run([one for request in requests for one in request.asked]))
            table.hand_out({id(request): [next(results) for _ in request.asked] for request in requests})
    finally:
        table.close()
    return [seat.returned[0] for seat in seats]


@dataclass(frozen=True)
class _Request(Generic[Asked]):
    asked: Sequence[Asked]


class _ClosedError(Exception):
    """The round has ended without an answer."""


class _Table(Generic[Asked]):
    """The place where inquiries leave their requests and find the results."""

    def __init__(self, trials: Trials[Asked], inquiries: int) -> None:
        self.trials = trials
        self._changed = threading.Condition()
        self._working = inquiries
        """The number of inquiries that have neither asked nor returned since the last round."""
        self._requests: list[_Request[Asked]] = []
        self._answers: dict[int, list[TrialResult]] = {}
        self._error: BaseException | None = None
        self._closed = False

    def ask(self, request: _Request[Asked]) -> list[TrialResult]:
        with self._changed:
            self._requests.append(request)
            self._left()
            self._changed.wait_for(lambda: id(request) in self._answers or self._closed)
            if self._closed:
                raise _ClosedError
            return self._answers.pop(id(request))

    def leave(self, error: BaseException | None) -> None:
        """Take note that an inquiry has returned, or raised."""
        with self._changed:
            self._error = self._error or error
            self._left()

    def _left(self) -> None:
        self._working -= 1
        self._changed.notify_all()

    def collected(self) -> list[_Request[Asked]]:
        """The requests of the next round, once all inquiries have made theirs; none when all have returned."""
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


class _Seat(Asker[Asked], Generic[Asked, T]):
    """The Asker that is handed to an inquiry."""

    def __init__(self, table: _Table[Asked], inquiry: Callable[[Asker[Asked]], T]) -> None:
        self._table, self._inquiry = table, inquiry
        self.returned: list[T] = []

    def run(self, asked: Sequence[Asked]) -> list[TrialResult]:
        return self._table.ask(_Request(tuple(asked)))

    def facts(self) -> TrialTrain:
        return self._table.trials.facts()

    def work(self) -> None:
        error: BaseException | None = None
        try:
            self.returned.append(self._inquiry(self))
        except _ClosedError:
            pass
        except BaseException as raised:
            error = raised
        self._table.leave(error)
