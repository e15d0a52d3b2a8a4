"""kill -9 at any moment loses no finished trial, doubles none, and ends in the same result."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kill_driver import SPEC

from intrinsic.store import Store, read_measurement

KILLS = 30
SLEEP = "0.025"
"""Seconds a synthetic trial takes."""


class Driver:
    """kill_driver.py, talked to over its pipes."""

    def __init__(self) -> None:
        environment = {**os.environ, "SYNTHETIC_SLEEP": SLEEP, "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "kill_driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout.readline() == "ready\n"

    def start(self, site: Site, jobs: int = 1, count: int = 1) -> list[int]:
        request = {"dir": str(site.path), "log": str(site.log), "jobs": jobs, "count": count}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def wait(self) -> list[int]:
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@dataclass
class Site:
    """One output directory, the log of its runs, and what was seen of both."""

    path: Path
    stored: dict[str, bytes] = field(default_factory=dict)
    read: int = 0

    @property
    def log(self) -> Path:
        return self.path.with_suffix(".log")

    def news(self) -> list[list[str]]:
        """Lines of the log since the last call: start|end, trial, process."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        fresh, self.read = lines[self.read :], len(lines)
        return [line.split() for line in fresh]

    def check(self, slots: int) -> tuple[int, int]:
        """After a round of processes with so many trials at once; trials stored, and trials that were cut off."""
        before = self.stored
        self.stored = {file.stem: file.read_bytes() for file in (self.path / "trials").glob("*.json")}
        assert before.items() <= self.stored.items(), "a finished trial was lost or changed"
        news = self.news()
        started = Counter(trial for what, trial, _ in news if what == "start")
        ended = {trial for what, trial, _ in news if what == "end"}
        assert not started.keys() & before.keys(), "a finished trial ran again"
        assert all(count == 1 for count in started.values()), "a trial ran twice"
        assert self.stored.keys() - before.keys() <= ended
        cut = started.keys() - self.stored.keys()
        assert len(cut) <= slots, "more was lost than was running"
        if self.path.exists():
            with Store(self.path, read_only=True) as store:
                assert {result.run.trial_id for result in store} == self.stored.keys()
                assert store.damaged == ()
        return len(self.stored), len(cut)

    def result(self):
        """The result, less what says when and how often it was made."""
        made = read_measurement(self.path)
        cost = made.result.cost.model_copy(update={"reused": 0})
        return (
            made.run.model_copy(update={"started": ""}),
            made.result.model_copy(update={"cost": cost}),
            made.meta,
        )


@pytest.fixture(scope="module")
def driver():
    one = Driver()
    yield one
    one.close()


@pytest.fixture(scope="module")
def reference(driver, tmp_path_factory):
    """An uninterrupted measurement: its result and its duration."""
    site = Site(tmp_path_factory.mktemp("reference") / "out")
    begin = time.monotonic()
    driver.start(site)
    assert driver.wait() == [0]
    duration = time.monotonic() - begin
    stored, cut = site.check(1)
    assert cut == 0
    assert stored == len(site.result()[1].trials) >= 15
    assert site.result()[0].spec == SPEC
    return site.result(), duration


def kill_at_random(driver, site, jobs, longest, rng) -> bool:
    """Start, kill after a random time; False if it had ended by then."""
    (pid,) = driver.start(site, jobs)
    time.sleep(rng.uniform(0, longest))
    if alive(pid):
        os.kill(pid, signal.SIGKILL)
    (status,) = driver.wait()
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


def alive(pid: int | str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def complete(driver, site, expected, jobs=1) -> None:
    """Run to the end; it is the same end."""
    driver.start(site, jobs)
    assert driver.wait() == [0]
    assert site.check(jobs)[1] == 0
    assert site.result() == expected


def test_killed_at_thirty_random_moments_it_ends_in_the_same_result(driver, reference, tmp_path):
    expected, duration = reference
    rng, moments = random.Random(11), []
    while len(moments) < KILLS:
        # Five kills in one directory, then another one: most should hit a measurement that has far to go.
        site, kills = Site(tmp_path / str(len(moments))), 0
        while kills < 5 and kill_at_random(driver, site, 1, duration * (1 - kills / 6), rng):
            kills += 1
            moments.append(site.check(1))
        complete(driver, site, expected)
    assert len({stored for stored, _ in moments}) >= 6, moments  # the moments were spread
    assert sum(cut for _, cut in moments) >= 6, moments  # and many hit a running trial


def test_killed_with_two_jobs_it_leaves_no_orphans_and_ends_in_the_same_result(driver, reference, tmp_path):
    expected, duration = reference
    rng, site, kills = random.Random(12), Site(tmp_path / "out"), 0
    for attempt in range(4):
        # a fresh pool needs about as long to start as all trials take
        kills += kill_at_random(driver, site, 2, duration * (attempt + 1), rng)
        workers = {line.split()[2] for line in site.log.read_text().splitlines()} if site.log.exists() else set()
        until(lambda pids=workers: not any(map(alive, pids)))
        site.check(2)
    assert kills
    complete(driver, site, expected, jobs=2)


def until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_processes_on_one_directory_share_the_trials(driver, reference, tmp_path):
    site = Site(tmp_path / "out")
    driver.start(site, count=2)
    assert driver.wait() == [0, 0]
    runners = {pid for what, _, pid in map(str.split, site.log.read_text().splitlines()) if what == "start"}
    assert len(runners) == 2
    assert site.check(2)[1] == 0
    assert site.result() == reference[0]


def test_of_two_processes_one_is_killed_and_the_other_takes_over(driver, reference, tmp_path):
    expected, duration = reference
    site = Site(tmp_path / "out")
    killed, _ = driver.start(site, count=2)
    time.sleep(duration / 3)
    os.kill(killed, signal.SIGKILL)
    assert driver.wait() == [signal.SIGKILL, 0]
    started = Counter(trial for what, trial, _ in site.news() if what == "start")
    assert sorted(started.values(), reverse=True)[1] == 1  # at most the trial under the axe ran again
    assert site.result() == expected
