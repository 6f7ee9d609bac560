"""The log: what it holds, what a full disk, a kill, another server and `forget` do to it."""

import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import made_log
import pyarrow.parquet as pq
import pytest
from made_log import feedback, impression, writer

from bakeoff.core.errors import BakeoffError
from bakeoff.ops.online import log as module
from bakeoff.ops.online.log import Pseudonyms, forget_user, parts, read_part


def rows(folder, table="impressions"):
    return [row for path in parts(folder, table) for row in read_part(path).to_pylist()]


def test_a_log_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "log").write_text("")
    with pytest.raises(BakeoffError, match=r"can't be read \(Not a directory.*: a log is a directory, which is made"):
        writer(tmp_path / "log")


def test_rows_come_back_as_they_were(tmp_path):
    log = writer(tmp_path)
    identity = impression(log, "u1", scores=[0.5, 0.25], propensities=[0.7, 0.1])
    feedback(log, identity, "b", "buy")
    log.close()
    [row] = rows(tmp_path)
    assert (row["items"], row["scores"], row["propensities"], row["teams"]) == (
        ["a", "b"],
        [0.5, 0.25],
        [0.7, 0.1],
        [1, 2],
    )
    assert (row["champion"], row["challenger"], row["time"]) == (made_log.CHAMPION, made_log.CHALLENGER, made_log.START)
    assert rows(tmp_path, "feedback") == [
        {"impression": identity, "item_id": "b", "event": "buy", "time": made_log.START + timedelta(seconds=1)}
    ]


def test_users_are_pseudonyms_that_need_the_secret_which_only_its_owner_reads_and_git_does_not_see(tmp_path):
    log = writer(tmp_path / "one")
    impression(log, "u1")
    log.close()
    writer(tmp_path / "two").close()
    [row] = rows(tmp_path / "one")
    one, two = (Pseudonyms.of(tmp_path / name) for name in ("one", "two"))
    assert row["user"] == one.user("u1") != two.user("u1")
    assert re.fullmatch("[0-9a-f]{32}", row["user"])
    assert stat.S_IMODE((tmp_path / "one/secret").stat().st_mode) == 0o600
    assert (tmp_path / "one/.gitignore").read_text() == "*\n"
    identity = one.new_impression()
    assert one.issued(identity)
    assert not two.issued(identity)
    assert not any(map(one.issued, ("", "x", identity[:-1], identity + "0", "é" * 32)))


def test_servers_share_a_directory_and_its_secret(tmp_path):
    logs = [writer(tmp_path) for _ in range(3)]
    threads = [threading.Thread(target=lambda log=log: [impression(log) for _ in range(50)]) for log in logs]
    for each in threads:
        each.start()
    for each, log in zip(threads, logs, strict=True):
        each.join()
        log.close()
    assert len({log.pseudonyms.user("u") for log in logs}) == 1
    assert len(parts(tmp_path, "impressions")) == 3
    assert len({row["id"] for row in rows(tmp_path)}) == 150


def test_a_file_grows_until_it_is_full(tmp_path, monkeypatch):
    log = writer(tmp_path)
    for number in range(7):
        impression(log, id=str(number))
        assert log._write("") == ""
        if number == 2:  # three are as much as a file takes, whatever their items
            monkeypatch.setattr(module, "FILE_BYTES", read_part(*parts(tmp_path, "impressions")).nbytes)
    log.close()
    assert sorted(len(read_part(path)) for path in parts(tmp_path, "impressions")) == [1, 3, 3]
    assert sorted(row["id"] for row in rows(tmp_path)) == [*"0123456"]


def test_what_waits_is_written_within_the_seconds_given_and_nothing_else_is_lost_by_a_kill(tmp_path):
    log = module.LogWriter(tmp_path, 1, seconds=0.01)
    impression(log, id="written")
    while not rows(tmp_path):
        time.sleep(0.01)
    assert [row["id"] for row in rows(tmp_path)] == ["written"]  # without an end of the server
    log.close()


WRITES = """
import sys
import time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from made_log import impression
from bakeoff.ops.online.log import LogWriter
log = LogWriter(Path(sys.argv[1]), 10_000, seconds=0.001)
while True:
    impression(log)
    time.sleep(0.001)
"""


HELPERS = str(Path(made_log.__file__).parent)


def test_a_killed_server_leaves_whole_files(tmp_path):
    for number in (1, 2):
        server = subprocess.Popen([sys.executable, "-c", WRITES, tmp_path, HELPERS])
        while len(parts(tmp_path, "impressions")) < number:
            assert server.poll() is None
            time.sleep(0.01)
        time.sleep(0.1 * number)
        server.kill()
        server.wait()
        assert len(rows(tmp_path)) > 0  # each file can be read


def test_what_a_killed_server_left_half_written_is_removed_and_never_read(tmp_path):
    writer(tmp_path).close()
    half = tmp_path / "impressions/.20260301T000000-00.parquet.part"
    half.write_bytes(b"PAR1")
    assert rows(tmp_path) == []
    writer(tmp_path).close()
    assert not half.exists()


def test_a_full_disk_is_logged_once_and_its_rows_wait(tmp_path, monkeypatch, caplog):
    log = writer(tmp_path)
    impression(log, id="0")
    with monkeypatch.context() as broken:
        broken.setattr(
            module.pq, "write_table", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        free = iter([2 << 20, 1 << 20])  # the message says how much it is, which differs from time to time
        broken.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=9 << 20, free=next(free)))
        failed = log._write("")
        assert log._write(failed) == failed
    assert caplog.text.count("its rows wait in memory") == 1
    assert rows(tmp_path) == []
    impression(log, id="1")
    log.close()
    assert [row["id"] for row in rows(tmp_path)] == ["0", "1"]
    assert not [*tmp_path.glob("*/.*.part")]


def test_more_rows_than_may_wait_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 2 * module.ROW_PLACES)
    log = writer(tmp_path)
    row = {"impression": "0", "item_id": "a", "event": "click", "time": made_log.START}
    assert [log.add("feedback", row) for _ in range(4)] == [True, True, False, False]
    log._write("")
    assert log.add("feedback", row)  # what was written waits no more
    log.close()
    assert len(rows(tmp_path, "feedback")) == 3


def test_fewer_long_lists_wait_than_short_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 60)
    log = writer(tmp_path)
    taken = [log.add("impressions", {"user": None, "items": ["a"] * size}) for size in (30, 10, 1, 0)]
    assert taken == [True, True, False, False]  # 10 + 30 and 10 + 10
    log.close()


def test_a_current_file_that_is_damaged_stays_and_another_one_is_begun(tmp_path, caplog):
    log = writer(tmp_path)
    impression(log, id="0")
    feedback(log, "0")
    log._write("")
    [damaged] = parts(tmp_path, "impressions")
    os.truncate(damaged, 100)
    impression(log, id="1")
    feedback(log, "1")
    assert log._write("") == ""
    impression(log, id="2")
    log.close()
    assert damaged.stat().st_size == 100
    damaged.unlink()
    assert [row["id"] for row in rows(tmp_path)] == ["1", "2"]
    assert [row["impression"] for row in rows(tmp_path, "feedback")] == ["0", "1"]
    assert caplog.text.count(f"{damaged} can't be read") == 1


def test_files_that_are_too_old_are_removed_at_the_start(tmp_path):
    made_log.interleaved(tmp_path, 1, 0)
    names = {}
    for table in module.SCHEMAS:
        [path] = parts(tmp_path, table)
        for days in (29, 31):
            begun = datetime.now(UTC) - timedelta(days=days)
            names[table, days] = path.with_name(f"{begun:{module._TIME}}-0.parquet")
            names[table, days].write_bytes(path.read_bytes())
    writer(tmp_path, days=30).close()
    assert {days for (_, days), path in names.items() if path.exists()} == {29}


@pytest.mark.parametrize("days", [500_000, 1_000_000, float("nan")])
def test_a_log_that_is_kept_for_longer_than_there_are_years_loses_nothing(tmp_path, days):
    made_log.interleaved(tmp_path, 1, 0)
    writer(tmp_path, days=days).close()
    assert len(rows(tmp_path)) == 1


def test_forget_removes_the_rows_of_a_user_and_nothing_else(tmp_path):
    log = writer(tmp_path)
    for number, user in enumerate(("u1", "u2", None, "u1")):
        feedback(log, impression(log, user, id=f"{user} {number}"))
    impression(log, id="plain", user="u1")
    log.close()
    other = writer(tmp_path)
    feedback(other, impression(other, "u1", id="u1 alone in a file"))
    other.close()
    assert forget_user(tmp_path, "u1") == (4, 3)
    assert sorted(row["id"] for row in rows(tmp_path)) == ["None 2", "u2 1"]
    assert sorted(row["impression"] for row in rows(tmp_path, "feedback")) == ["None 2", "u2 1"]
    assert forget_user(tmp_path, "u1") == (0, 0)
    assert len(parts(tmp_path, "impressions")) == 1  # a file without rows is removed


def test_forget_finds_plain_ids_too(tmp_path):
    log = writer(tmp_path)
    impression(log, id="0")
    log.add("impressions", {"id": "1", "user": "u1", "items": [], "time": made_log.START})
    log.close()
    assert forget_user(tmp_path, "u1") == (1, 0)
    assert [row["id"] for row in rows(tmp_path)] == ["0"]


def test_what_forget_removed_does_not_come_back_with_the_next_rows_of_a_running_server(tmp_path):
    log = writer(tmp_path)
    for user in ("u1", "u2"):
        impression(log, user, id=user)
    log._write("")
    assert forget_user(tmp_path, "u1") == (1, 0)
    impression(log, "u3", id="u3")
    log.close()
    assert sorted(row["id"] for row in rows(tmp_path)) == ["u2", "u3"]


@pytest.mark.parametrize("is_plain", [True, False])
def test_what_waits_of_a_user_that_is_forgotten_is_not_written_and_what_comes_later_is(tmp_path, is_plain):
    log = writer(tmp_path)
    now = datetime.now(UTC)
    later = now + timedelta(minutes=1)
    for identity, user, shown in (("waits", "u1", now), ("another", "u2", now), ("later", "u1", later)):
        name = user if is_plain else log.pseudonyms.user(user)
        log.add("impressions", {"id": identity, "user": name, "items": [], "time": shown})
    impression(log, id="nobody", time=now)
    assert forget_user(tmp_path, "u1") == (0, 0)
    log.close()
    assert [row["id"] for row in rows(tmp_path)] == ["another", "later", "nobody"]
    assert log._taken == log._gone


def test_the_name_of_a_user_that_is_forgotten_is_kept_for_an_hour(tmp_path):
    writer(tmp_path).close()
    forget_user(tmp_path, "u1")
    [kept] = (tmp_path / module._FORGOTTEN).iterdir()
    old = kept.with_name(f"{datetime.now(UTC) - timedelta(hours=1, minutes=1):{module._TIME}}-{'0' * 32}")
    old.touch()
    writer(tmp_path).close()
    assert [*kept.parent.iterdir()] == [kept]


def test_feedback_is_forgotten_by_a_second_call_where_a_file_could_not_be_read(tmp_path):
    made_log.interleaved(tmp_path, 1, 0)
    [path] = parts(tmp_path, "feedback")
    whole = path.read_bytes()
    os.truncate(path, 100)
    with pytest.raises(BakeoffError, match="can't be read"):
        forget_user(tmp_path, "u0")
    path.write_bytes(whole)
    assert forget_user(tmp_path, "u0") == (1, 1)


def test_without_a_log_there_is_nothing_to_forget_and_without_its_secret_nothing_can_be_found(tmp_path):
    assert forget_user(tmp_path / "none", "u1") == (0, 0)
    made_log.interleaved(tmp_path, 1, 0)
    (tmp_path / "secret").unlink()
    with pytest.raises(BakeoffError, match=r"secret can't be read \(No such file"):
        forget_user(tmp_path, "u1")


def test_a_damaged_file_is_named(tmp_path):
    path = made_log.damaged(tmp_path)
    with pytest.raises(BakeoffError, match=f"{path} can't be read .*move it out of the log"):
        forget_user(tmp_path, "u0")
    assert pq.read_table(parts(tmp_path, "feedback")[0]).num_rows == 1
