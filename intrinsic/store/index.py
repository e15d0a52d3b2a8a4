"""The SQLite index over a folder of trial files: a cache that can always be thrown away.

The files are the truth. The index only spares reading all of them for a question such as "how long
did such trials take?". Before every answer it is compared with the files (name, time, size) and what
differs is read again. Whatever else is wrong with it (missing, damaged, of an older layout, on a full
disk or a file system without the locks SQLite needs) ends in a rebuilt index or, if that fails too, in
one kept in memory; never in an error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from weakref import finalize

from intrinsic.records import TrialResult
from intrinsic.spec import OptimSpec, digest

LAYOUT = 2
"""Number of the table's layout, kept in SQLite's user_version; another number means: rebuild."""
BUSY_SECONDS = 10.0
"""Seconds that one process waits for another one's write."""

Stamp = tuple[int, int]
"""Stamp of a trial's file: its mtime in ns and its size in bytes."""


@dataclass(frozen=True)
class Summary:
    """A trial's line in the index."""

    trial_id: str
    status: str
    task: str
    model: str
    method: str
    subspace_dim: int | None
    learning_rate: float
    score: float | None
    steps: int
    seconds: float
    data_scope: str
    """Hash of the data that the trial asked for; where it is the same, `data_hash` must be the same."""
    data_hash: str | None
    """Hash of the data that it got; None if it ended before."""
    model_scope: str
    """Hash of the model that the trial asked for, with its layers, revision and pooling."""
    optim_scope: str
    """Hash of the optimiser's settings but the learning rate: where it is the same, so is the number of steps."""
    weights_scope: str
    """Hash of the theta_0 that the trial asked for; where it is the same, `weights_hash` must be the same."""
    weights_hash: str | None
    """Hash of the theta_0 that it got; None if it ended before."""


COLUMNS = tuple(field.name for field in fields(Summary))
"""Columns of the table, but for those of the file's stamp."""
CREATE = f"CREATE TABLE trials (mtime_ns, size, {', '.join(COLUMNS)}, PRIMARY KEY (trial_id))"
INSERT = f"INSERT OR REPLACE INTO trials VALUES ({', '.join('?' * (2 + len(COLUMNS)))})"


def optim_scope(optim: OptimSpec) -> str:
    """The hash of the optimiser's settings without the learning rate, which trials of one run try several of."""
    return digest(optim.model_dump(mode="json", exclude={"learning_rate"}))


def summarise(result: TrialResult) -> Summary:
    """The index line of a trial."""
    spec = result.run.spec
    task, model = spec.task.model_dump(mode="json"), spec.model.model_dump(mode="json")
    return Summary(
        trial_id=result.run.trial_id,
        status=result.run.status,
        task=spec.task.name,
        model=spec.model.name,
        method=spec.method.name,
        subspace_dim=spec.method.subspace_dim,
        learning_rate=spec.optim.learning_rate,
        score=result.train.score,
        steps=result.train.steps,
        seconds=result.run.seconds,
        data_scope=digest(task),
        data_hash=result.meta.hashes.get("data"),
        model_scope=digest(model),
        optim_scope=optim_scope(spec.optim),
        # A reference net's theta_0 is drawn from the initialisation seed: another seed, another theta_0.
        weights_scope=digest([task, model, spec.seeds.initialisation]),
        weights_hash=result.meta.hashes.get("weights"),
    )


class Index:
    """The index at `path`, or in memory where path is None.

    read(trial_id) gives a trial from its file, or None where that file is damaged or gone.
    """

    def __init__(self, path: Path | None, read: Callable[[str], TrialResult | None]) -> None:
        self._path = path
        self._read = read
        self._may_rebuild = True
        self._opened: sqlite3.Connection | None = None
        self._finalizer: Callable[[], object] = lambda: None

    def close(self) -> None:
        """Close the database; the next question opens it again."""
        self._finalizer()
        self._opened = None

    def rebuild(self) -> None:
        """Throw the index away; the next answer is made from the files."""
        self.close()
        self._delete_files()

    def rows(self, stamps: Mapping[str, Stamp], where: str = "1", values: tuple[object, ...] = ()) -> list[Summary]:
        """Summaries, by id, of the trials in `stamps` (by id) that meet an SQL condition on COLUMNS."""
        if not stamps:
            return []  # and there may be no folder yet to open a file in
        query = f"SELECT {', '.join(COLUMNS)} FROM trials WHERE {where} ORDER BY trial_id"
        while True:
            try:
                self._sync(stamps)
                return [Summary(*row) for row in self._db().execute(query, values)]
            except sqlite3.Error as error:
                if self._path is None:
                    raise
                self._recover(error)

    def _sync(self, stamps: Mapping[str, Stamp]) -> None:
        query = "SELECT trial_id, mtime_ns, size FROM trials"
        db = self._db()
        known = {name: (mtime, size) for name, mtime, size in db.execute(query)}
        gone = known.keys() - stamps.keys()
        changed = [name for name, stamp in stamps.items() if known.get(name) != stamp]
        if not gone and not changed:
            return
        read = {name: self._read(name) for name in changed}
        with db:  # one transaction
            forget = [*gone, *(name for name, result in read.items() if result is None)]
            db.executemany("DELETE FROM trials WHERE trial_id = ?", [(name,) for name in forget])
            lines = [(*stamps[name], *astuple(summarise(result))) for name, result in read.items() if result]
            db.executemany(INSERT, lines)

    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = sqlite3.connect(self._path or ":memory:", timeout=BUSY_SECONDS)
            # Python 3.13 warns about a connection that is dropped without being closed.
            self._finalizer = finalize(self, self._opened.close)
            _lay_out(self._opened)
        return self._opened

    def _recover(self, error: sqlite3.Error) -> None:
        """Delete a damaged file once; on any further or other trouble (locked, full, ...) use memory."""
        self.close()
        if self._may_rebuild and not isinstance(error, sqlite3.OperationalError):
            self._may_rebuild = False
            self._delete_files()
        else:
            self._path = None

    def _delete_files(self) -> None:
        if self._path is not None:
            for suffix in ("", "-wal", "-shm"):
                with suppress(OSError):
                    Path(f"{self._path}{suffix}").unlink(missing_ok=True)


def _lay_out(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("BEGIN IMMEDIATE")  # two processes may find the file empty at once
    with db:
        if db.execute("PRAGMA user_version").fetchone() != (LAYOUT,):
            db.execute("DROP TABLE IF EXISTS trials")
            db.execute(CREATE)
            db.execute(f"PRAGMA user_version = {LAYOUT}")
