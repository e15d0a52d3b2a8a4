"""The store: what is written comes back, whatever happens to the files in between."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic
from records_fake import measured

from intrinsic.errors import StoreError
from intrinsic.store import Store, claims, read_measurement


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "out") as opened:
        yield opened


def trial_file(store: Store, trial_id: str) -> Path:
    return store.path / "trials" / f"{trial_id}.json"


def filled(store: Store, count: int = 4) -> list[str]:
    specs = [synthetic.spec(8 + k) for k in range(count)]
    for spec in specs:
        store.put(synthetic.result(spec))
    return [spec.id for spec in specs]


def leftovers(store: Store) -> list[Path]:
    return [path for path in store.path.rglob("*") if path.name.endswith((".tmp", ".lock"))]


def test_what_is_put_comes_back_in_another_store(store):
    result = synthetic.result(synthetic.spec(16))
    assert store.get(result.run.trial_id) is None
    store.put(result)
    with Store(store.path) as other:
        assert other.get(result.run.trial_id) == result
        assert list(other) == [result]
    assert leftovers(store) == []


@pytest.mark.parametrize(
    ("status", "answers"),
    [("ok", True), ("diverged", True), ("out-of-memory", True), ("failed", False), ("interrupted", False)],
)
def test_only_final_statuses_answer(store, status, answers):
    result = synthetic.result(synthetic.spec(16), status=status)
    store.put(result)
    assert store.get(result.run.trial_id) == result
    assert (store.answer(result.run.trial_id) is not None) == answers


def _truncate(path):
    path.write_bytes(path.read_bytes()[:100])


def _wrong_json(path):
    path.write_text("not JSON at all")


def _wrong_schema(path):
    path.write_text('{"run": 1}')


def _binary(path):
    path.write_bytes(bytes(range(256)))


def _empty(path):
    path.write_bytes(b"")


def _other_trial(path):
    path.write_text(synthetic.result(synthetic.spec(999)).model_dump_json())


def _edited_spec(path):
    content = json.loads(path.read_text())
    content["run"]["spec"]["optim"]["learning_rate"] = 0.123
    path.write_text(json.dumps(content))


def _impossible_score(path):
    content = json.loads(path.read_text())
    content["train"] |= {"metric": "accuracy", "score": 1.7}
    path.write_text(json.dumps(content))


def _newer_schema(path):
    content = json.loads(path.read_text())
    content["meta"]["schema_version"] = 99
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_truncate, "Invalid JSON"),
        (_wrong_json, "Invalid JSON"),
        (_wrong_schema, "run: Input should be"),
        (_binary, "Invalid JSON"),
        (_empty, "Invalid JSON"),
        (_other_trial, "it holds trial"),
        (_edited_spec, "its spec has the id .*: edited, or written by another version"),
        (_impossible_score, "its accuracy is 1.7, outside of 0 to 1"),
        (_newer_schema, "schema version 99, this program reads 1"),
    ],
)
def test_a_damaged_file_is_named_once_skipped_and_moved_aside(store, damage, reason):
    ids = filled(store)
    path = trial_file(store, ids[1])
    damage(path)
    with Store(store.path) as again:
        assert {result.run.trial_id for result in again} == set(ids) - {ids[1]}
        assert {line.trial_id for line in again.summaries()} == set(ids) - {ids[1]}
        assert again.get(ids[1]) is None
        assert [item.path for item in again.damaged] == [path]
        assert [item.path for item in again.new_damage()] == [path]
        assert again.new_damage() == []
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(again.damaged[0].reason)
        content = path.read_bytes()
        again.put(synthetic.result(synthetic.spec(9)))
        assert again.get(ids[1]) is not None
        assert again.damaged == ()
        assert path.with_name(f"{path.name}.damaged").read_bytes() == content
        assert len(list(again)) == len(ids)


def _delete_index(path):
    for file in path.parent.glob("index.sqlite*"):
        file.unlink()


def _garbage_index(path):
    _delete_index(path)
    path.write_bytes(b"this is not a database " * 500)


def _half_index(path):
    content = path.read_bytes()
    _delete_index(path)
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def _old_layout(path):
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE trials")
        db.execute("CREATE TABLE trials (something)")
        db.execute("PRAGMA user_version = 0")
    db.close()


def _index_is_a_folder(path):
    _delete_index(path)
    path.mkdir()


def _stale_rows(path):
    with sqlite3.connect(path) as db:
        db.execute("UPDATE trials SET score = 0, size = 0 WHERE trial_id IN (SELECT min(trial_id) FROM trials)")
        db.execute("UPDATE trials SET trial_id = 'ghost' WHERE trial_id IN (SELECT max(trial_id) FROM trials)")
    db.close()


@pytest.mark.parametrize(
    "harm", [_delete_index, _garbage_index, _half_index, _old_layout, _index_is_a_folder, _stale_rows]
)
def test_the_index_is_rebuilt_from_the_files(tmp_path, harm):
    with Store(tmp_path) as store:
        filled(store, 6)
        expected = store.summaries()
    harm(tmp_path / "index.sqlite")
    with Store(tmp_path) as store:
        assert store.summaries() == expected
    assert len(expected) == 6
    assert (
        expected[0].score
        == json.loads((tmp_path / "trials" / f"{expected[0].trial_id}.json").read_text())["train"]["score"]
    )


def test_the_index_is_in_wal_mode_and_notices_what_others_do_to_the_files(store):
    ids = filled(store)
    assert [line.trial_id for line in store.summaries()] == sorted(ids)
    with sqlite3.connect(store.path / "index.sqlite") as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("SELECT count(*) FROM trials").fetchone() == (4,)
    db.close()
    trial_file(store, ids[0]).unlink()
    with Store(store.path) as other:
        other.put(synthetic.result(synthetic.spec(77)))
    found = {line.trial_id for line in store.summaries()}
    assert found == {*ids[1:], synthetic.spec(77).id}
    store.rebuild_index()
    assert {line.trial_id for line in store.summaries()} == found


def test_a_locked_index_is_done_without(store, monkeypatch):
    ids = filled(store)
    monkeypatch.setattr("intrinsic.store.index.BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(store.path / "index.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with Store(store.path) as other:
        assert [line.trial_id for line in other.summaries()] == sorted(ids)
    holder.close()


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_half_written(store, monkeypatch):
    ids = filled(store, 1)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device.*free some space and run the same command"):
        store.put(synthetic.result(synthetic.spec(500)))
    monkeypatch.undo()
    assert [result.run.trial_id for result in store] == ids
    assert leftovers(store) == []


def test_a_write_cut_short_by_the_kernel_leaves_nothing(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))

    code = (
        "import sys, synthetic\nfrom intrinsic.store.disk import write_atomically\n"
        "from intrinsic.errors import StoreError\n"
        "from pathlib import Path\n"
        "try: write_atomically(Path(sys.argv[1]), 'x' * 2000)\n"
        "except StoreError as error: print(error)\n"
    )
    target = tmp_path / "file.json"
    target.write_text("old")
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(target)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__))},
        check=True,
    )
    assert "File too large" in done.stdout
    assert "raise the limit on file sizes" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]
    assert target.read_text() == "old"


def test_a_file_in_the_way_is_one_clear_error(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot write to .*out.*choose a directory that is not a file"):
        Store(tmp_path / "out")
    with pytest.raises(StoreError, match=r"cannot write to .*whose path does not lead through a file"):
        Store(tmp_path / "out" / "deeper")
    with pytest.raises(StoreError, match=r"expected a directory, got the file .*out"):
        Store(tmp_path / "out", read_only=True)
    with pytest.raises(StoreError, match=r"there is no directory .*absent"):
        Store(tmp_path / "absent", read_only=True)


def test_a_directory_closed_to_us_is_one_clear_error(tmp_path, monkeypatch):
    # The superuser may write anywhere, so the answer of the operating system is made up here.
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(StoreError, match=r"Permission denied.*choose a directory that you have the rights for"):
        Store(tmp_path / "out")
    monkeypatch.undo()
    with Store(tmp_path / "out") as store:

        def closed(*_, **__):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr("os.replace", closed)
        with pytest.raises(StoreError, match=r"Read-only file system.*on a disk that can be written"):
            store.put(synthetic.result(synthetic.spec(8)))
        assert leftovers(store) == []


def test_a_read_only_store_writes_nothing(store):
    ids = filled(store)
    store.close()
    before = {path: path.stat().st_mtime_ns for path in store.path.rglob("*")}
    with Store(store.path, read_only=True) as reader:
        assert [line.trial_id for line in reader.summaries()] == sorted(ids)
    assert {path: path.stat().st_mtime_ns for path in store.path.rglob("*")} == before


@pytest.mark.parametrize("what", ["data", "weights"])
def test_data_or_weights_that_changed_underneath_are_refused(store, what):
    store.put(synthetic.result(synthetic.spec(16)))
    changed = synthetic.result(synthetic.spec(32))
    changed = changed.model_copy(
        update={"meta": changed.meta.model_copy(update={"hashes": changed.meta.hashes | {what: "f" * 64}})}
    )
    with pytest.raises(StoreError, match=f"the {what} of minilm on rotten-tomatoes changed since .*ffffffffffff"):
        store.put(changed)
    assert store.get(changed.run.trial_id) is None
    store.put(synthetic.result(synthetic.spec(32)))


def test_another_task_or_subset_may_have_other_data(store):
    store.put(synthetic.result(synthetic.spec(16)))
    other = synthetic.spec(16).model_copy(update={"task": synthetic.spec(16).task.model_copy(update={"limit": 5})})
    store.put(synthetic.result(other, data="e" * 64))
    assert len(list(store)) == 2


def test_what_would_not_read_back_is_refused(store):
    good = synthetic.result(synthetic.spec(16))
    with pytest.raises(StoreError, match="cannot be stored: it does not survive JSON: are all its numbers finite"):
        store.put(synthetic.result(synthetic.spec(16), score=float("nan")))
    wrong = good.model_copy(update={"run": good.run.model_copy(update={"trial_id": "0" * 16})})
    with pytest.raises(StoreError, match="cannot be stored: its spec has the id"):
        store.put(wrong)
    assert list(store) == []


def test_a_claim_excludes_others_until_released_and_leaves_no_file(store):
    claim = store.claim("a" * 16)
    assert claim is not None
    with Store(store.path) as other:
        assert other.claim("a" * 16) is None
        free = other.claim("b" * 16)
        assert free is not None
        free.release()
        claim.release()
        claim.release()
        taken = other.claim("a" * 16)
        assert taken is not None
        assert store.claim("a" * 16) is None
        taken.release()
    assert leftovers(store) == []


def test_a_killed_owners_claim_dies_with_it(store):
    code = (
        "import sys, time\nfrom intrinsic.store import Store\n"
        "claim = Store(sys.argv[1]).claim('a' * 16)\nprint('held', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(store.path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "held\n"
        assert store.claim("a" * 16) is None
        owner.kill()
        owner.wait()
        claim = store.claim("a" * 16)
        assert claim is not None
        claim.release()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, None])
def test_without_locks_every_claim_is_granted(store, monkeypatch, code):
    if code is None:
        monkeypatch.setattr(claims, "fcntl", None)
    else:

        def flock(*_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr("fcntl.flock", flock)
    first, second = store.claim("a" * 16), store.claim("a" * 16)
    assert first is not None
    assert second is not None
    first.release()
    second.release()


def test_old_unfinished_files_are_swept_and_young_ones_left(store):
    filled(store, 1)
    old, young = store.path / "trials" / ".a.json.1.tmp", store.path / "trials" / ".b.json.1.tmp"
    old.write_text("x")
    young.write_text("x")
    os.utime(old, (0, 0))
    with Store(store.path) as other:
        filled(other, 2)
    assert not old.exists()
    assert young.exists()


def test_nothing_is_created_before_something_is_written(tmp_path):
    with Store(tmp_path / "new" / "out") as store:
        assert store.answer("a" * 16) is None
        assert store.summaries() == list(store) == []
    assert list(tmp_path.iterdir()) == []
    with Store(tmp_path / "new" / "out") as store:
        filled(store, 2)
        assert len(store.summaries()) == 2
    assert (tmp_path / "new" / "out" / "index.sqlite").is_file()


def test_a_directory_that_goes_away_is_one_clear_error(store):
    filled(store, 1)
    shutil.rmtree(store.path)
    with pytest.raises(
        StoreError, match=r"\(No such file or directory\): the path is gone .* run the same command again"
    ):
        store.put(synthetic.result(synthetic.spec(500)))


def test_an_absent_or_damaged_measurement_says_what_to_do(tmp_path):
    with pytest.raises(StoreError, match=r"no measurement at .*result.json: `intrinsic measure --output-dir"):
        read_measurement(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(StoreError, match=r"result.json is damaged \(Invalid JSON.*\): measure again"):
        read_measurement(tmp_path)


def test_the_store_imports_no_torch():
    code = "import intrinsic.store, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_score_that_is_not_finite_is_damage(tmp_path, number):
    with Store(tmp_path) as store:
        result = synthetic.result(synthetic.spec(16))
        store.put(result)
        path = tmp_path / "trials" / f"{result.run.trial_id}.json"
        path.write_text(re.sub(r'"score": ?[-\d.e]+', f'"score": {number}', path.read_text(), count=1))
    with Store(tmp_path) as store:
        assert store.answer(result.run.trial_id) is None
        assert f"it holds the number {number}" in str(store.damaged)


def test_a_directory_and_a_pipe_among_the_trials_are_named_and_skipped(tmp_path):
    with Store(tmp_path) as store:
        result = synthetic.result(synthetic.spec(16))
        store.put(result)
    os.mkfifo(tmp_path / "trials" / f"{'0' * 16}.json")
    (tmp_path / "trials" / f"{'1' * 16}.json").mkdir()
    with Store(tmp_path) as store:
        assert [found.run.trial_id for found in store] == [result.run.trial_id]
        assert str(store.damaged).count("it is not a regular file") == 2


def test_an_unknown_measurement_is_told_which_there_are(tmp_path):
    with Store(tmp_path) as store:
        store.put_measurement(measured())
    name = measured().run.measure_id
    assert read_measurement(tmp_path, name) == read_measurement(tmp_path)
    for wrong in ("nope", "../result", ""):
        with pytest.raises(StoreError, match=rf"no measurement '{wrong}' in .*: expected one of .*, {name}$"):
            read_measurement(tmp_path, wrong)
    with pytest.raises(StoreError, match="of which there are none"):
        read_measurement(tmp_path / "trials", name)


def test_a_name_that_is_too_long_is_one_clear_error(tmp_path):
    with (
        pytest.raises(StoreError, match=r"\(File name too long\): choose a directory with a shorter path"),
        Store(tmp_path / ("x" * 300)) as store,
    ):
        store.put(synthetic.result(synthetic.spec(8)))
