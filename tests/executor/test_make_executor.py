"""Which executor a name and a number of jobs give, and executors of other packages: a fake one on sys.path."""

from __future__ import annotations

import subprocess
import sys

import pytest
import synthetic
from executor_runners import specs

from intrinsic.errors import IntrinsicError, SpecError, UnknownName
from intrinsic.executor import make_executor, run_trials
from intrinsic.executor.base import EXECUTORS
from intrinsic.executor.here import InProcess
from intrinsic.executor.workers import WorkerPool
from intrinsic.plugins import entries_of

ENTRIES = """
[intrinsic.executors]
counting = strange_executors:COUNTING
breaks = strange_executors:BREAKS
refuses = strange_executors:REFUSES
mute = strange_executors:MUTE
slotless = strange_executors:SLOTLESS
absent = strange_executors:ABSENT
words = strange_executors:WORDS
here = strange_executors:COUNTING
"""
PACKAGE = """
from intrinsic.errors import IntrinsicError
from intrinsic.executor.base import ExecutorInfo
from intrinsic.executor.here import InProcess

COUNTING = ExecutorInfo("counts its trials", "strange_executors:Counting")
BREAKS = ExecutorInfo("raises when it is made", "strange_executors:broken")
REFUSES = ExecutorInfo("needs what is not there", "strange_executors:refusing")
MUTE = ExecutorInfo("cannot be polled", "strange_executors:mute")
SLOTLESS = ExecutorInfo("has no slot", "strange_executors:slotless")
ABSENT = ExecutorInfo("has no factory", "strange_executors:nowhere")
WORDS = "no executor"

class Counting(InProcess):
    def start(self, spec, progress):
        self.count = getattr(self, "count", 0) + 1
        super().start(spec, progress)

def broken(jobs, runner):
    raise ConnectionError("no cluster at 10.0.0.1")

def refusing(jobs, runner):
    raise IntrinsicError(f"there are no {jobs} machines")

class Mute:
    slots = 1
    def __repr__(self):
        return "<a mute thing>"
    def start(self, spec, progress): ...

def mute(jobs, runner):
    return Mute()

def slotless(jobs, runner):
    made = InProcess(1, runner)
    made.slots = 0
    return made
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, text in {
        "strange-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n",
        "strange-1.0.dist-info/entry_points.txt": ENTRIES,
        "strange_executors.py": PACKAGE,
    }.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "site")
    entries_of.cache_clear()
    yield
    entries_of.cache_clear()


def test_without_a_name_one_job_runs_here_and_several_in_processes():
    assert type(make_executor()) is type(make_executor(jobs=1)) is InProcess
    made = make_executor(jobs=3, runner=synthetic.run)
    assert (type(made), made.slots) == (WorkerPool, 3)
    one = make_executor("processes", 1, synthetic.run)
    assert (type(one), one.slots) == (WorkerPool, 1)


def test_what_cannot_be_made_is_refused():
    with pytest.raises(SpecError, match="jobs must be 1 or more, got 0"):
        make_executor("processes", 0)
    with pytest.raises(SpecError, match="'here' runs one trial at a time, got jobs=2: use 'processes', or leave jobs"):
        make_executor("here", 2)
    with pytest.raises(UnknownName, match=r"unknown executor 'proceses'; available: here, .*did you mean 'processes'"):
        make_executor("proceses")
    with pytest.raises(SpecError, match="need a runner that is importable by name, got <function"):
        make_executor("processes", 2, lambda spec, **_: None)


def test_the_list_of_executors_needs_no_torch():
    code = (
        "import sys\nfrom intrinsic.executor.base import EXECUTORS\n"
        "usable, complaints = EXECUTORS.offered()\n"
        "assert {'here', 'processes'} <= usable.keys(), usable\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.usefixtures("package")
def test_an_executor_of_another_package_runs_trials(store):
    executor = make_executor("counting", 1, synthetic.run)
    assert run_trials(specs(3), store, executor=executor) == [synthetic.result(spec) for spec in specs(3)]
    assert executor.count == 3


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        (
            "breaks",
            SpecError,
            r"^executor 'breaks' cannot be made \(ConnectionError: no cluster at 10.0.0.1\): corr",
        ),
        ("refuses", IntrinsicError, "^there are no 2 machines$"),
        ("mute", SpecError, "'mute' must have the methods start, poll, abort, close, but <a mute thing> lacks poll: "),
        ("slotless", SpecError, "'slotless' must have 1 slot or more, but .* has 0: correct that, or use another ex"),
        ("absent", SpecError, r"cannot load 'strange_executors:nowhere' \(AttributeError: .*: repair or uninstall"),
        ("words", SpecError, "must be an intrinsic.executor.base.ExecutorInfo, got 'no executor': repair or uninstall"),
    ],
)
def test_an_executor_of_another_package_that_does_not_fit_is_refused_in_a_sentence(name, kind, told):
    with pytest.raises(kind, match=told):
        make_executor(name, 2, synthetic.run)


@pytest.mark.usefixtures("package")
def test_another_package_does_not_replace_our_own():
    usable, complaints = EXECUTORS.offered()
    assert type(make_executor("here")) is InProcess
    assert "counting" in usable
    assert "words" not in usable
    assert any("'here' of the package strange is ignored: it exists" in complaint for complaint in complaints)
