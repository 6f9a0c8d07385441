#!/usr/bin/python3
"""COPY into a storage of the same transaction, whose rows are written beside it (docs/design/bulk_load.md): all or nothing,
for savepoints, for older snapshots, and when the node dies in the middle. The answers are PostgreSQL's (--server postgres),
but for old snapshots: there they find the table empty, here they are told to try again."""

import threading

from harness import run as run_module, servers
from harness.run import check
from harness.wire import ConnectionLost, NotConnected, ServerError


def lines(first, last):
    return [f"{n}\tvalue {n}\n".encode() for n in range(first, last + 1)]


def load(session, first, last):
    session.copy_in("COPY t FROM STDIN", [b"".join(lines(first, last))])


def keys(session):
    return [int(row[0]) for row in session.rows("SELECT a FROM t ORDER BY a")]


def fails(session, sqlstate, action):
    try:
        action()
    except ServerError as error:
        check(error.sqlstate == sqlstate, f"{sqlstate} was wanted, got {error}")
    else:
        check(False, f"{sqlstate} was wanted, nothing failed")


def transactions(session, other):
    session.query("CREATE TABLE t (a int PRIMARY KEY, b text)")
    load(session, 1, 3)
    session.query("BEGIN; TRUNCATE t")
    load(session, 10, 9999)  # several batches
    check(len(keys(session)) == 9990, "the transaction does not see what it has copied")
    session.query("ROLLBACK")
    check(keys(session) == [1, 2, 3], f"after a rollback: {keys(session)[:5]}")

    session.query("BEGIN; TRUNCATE t")
    load(session, 10, 5000)
    fails(session, "23505", lambda: load(session, 5000, 5001))
    session.query("ROLLBACK")
    check(keys(session) == [1, 2, 3], "a duplicate key has left rows")

    session.query("BEGIN; TRUNCATE t")
    load(session, 4, 5)
    session.query("SELECT * FROM t FOR UPDATE")  # own locks are nothing to wait for
    load(session, 6, 6)
    session.query("SAVEPOINT s")
    load(session, 7, 7)
    session.query("ROLLBACK TO s")
    load(session, 8, 8)
    session.query("UPDATE t SET b = 'changed' WHERE a = 4; COMMIT")
    check(keys(session) == keys(other) == [4, 5, 6, 8], f"after savepoints: {keys(session)}")

    session.query("BEGIN; SAVEPOINT s; TRUNCATE t")
    load(session, 9, 9)
    session.query("ROLLBACK TO s; COMMIT")
    check(keys(session) == [4, 5, 6, 8], "TRUNCATE and COPY outlived their savepoint")

    session.query("BEGIN; CREATE TABLE u (a int, b text)")
    session.copy_in("COPY u FROM STDIN", lines(1, 3))
    session.query("ALTER TABLE u ADD PRIMARY KEY (a)")
    session.copy_in("COPY u FROM STDIN", lines(4, 4))
    session.query("COMMIT")
    check(other.value("SELECT sum(a) FROM u") == "10", "COPY around ADD PRIMARY KEY")


# A snapshot between two batches sees neither of them, never one.
def snapshots(run, session, other):
    for level in ("REPEATABLE READ", "SERIALIZABLE"):
        session.query("BEGIN; TRUNCATE t")
        load(session, 1, 5000)
        other.query(f"BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM u")
        load(session, 5001, 10000)
        session.query("COMMIT")
        if run.options.server == "postgres":
            check(keys(other) == [], "PostgreSQL's old snapshot has rows")
        else:
            fails(other, "40001", lambda: keys(other))
        other.query("ROLLBACK")
        check(len(keys(other)) == 10000, "a new transaction misses rows")


# The client hears nothing, or that nothing happened; then the old rows are there and the table can be loaded again.
def dies(run, cluster, session, other):
    before = keys(session)
    session.query("BEGIN; TRUNCATE t")
    load(session, 1, 20000)
    rows = threading.Event()

    def go_on():
        try:
            for first in range(20001, 2_000_001, 1000):
                load(session, first, first + 999)
                rows.set()
            session.query("COMMIT")
        except (ServerError, ConnectionLost, OSError):
            return

    loader = threading.Thread(target=go_on, daemon=True)
    loader.start()
    check(rows.wait(60), "no rows went in")
    cluster.kill(1)
    loader.join(60)
    check(not loader.is_alive(), "the loader hangs")
    cluster.up()
    with cluster.session(1, 60) as again:
        run.wait_until(lambda: attempt(lambda: keys(again)) == before, 60, "the table as it was before")
        again.query("BEGIN; TRUNCATE t")
        load(again, 1, 7)
        again.query("COMMIT")
        check(keys(again) == [1, 2, 3, 4, 5, 6, 7], "the table cannot be loaded again")


def attempt(action):
    try:
        return action()
    except (ServerError, ConnectionLost, NotConnected):
        return None


def test(run):
    cluster = servers.make(run, run.options.nodes)
    run.say(f"ready after {cluster.up():.1f} s")
    last = list(cluster.nodes)[-1]
    with cluster.session(1, 60) as session, cluster.session(last, 60) as other:
        transactions(session, other)
        snapshots(run, session, other)
        run.say("rollbacks, savepoints and snapshots hold")
        dies(run, cluster, session, other)
    run.say("a node died in the middle of COPY: all or nothing")
    cluster.down()


def add_options(parser):
    parser.add_argument("--nodes", type=int, default=1)


run_module.main(test, "copy_load", deadline=240, add_options=add_options)
