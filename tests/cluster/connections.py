#!/usr/bin/python3
"""Many connections on few threads (docs/design/runtime.md): idle ones cost memory alone; statements that wait, compute for long or are
not read hold nobody up; timeouts, cancel requests and a stop end what they should, with PostgreSQL's SQLSTATE."""

import os
import signal
import socket
import struct
import time

from harness import processes, run as run_module, servers, wire
from harness.run import check

CONNECTIONS = 1000
IDLE_MB_MAX = 40  # of 1,000 connections: issue 3's bar
THREADS_MORE_MAX = 40


def thread_count(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def start(session, sql):
    session.send(wire.message("Q", sql.encode() + b"\0"))


def sqlstate(session, sql=None):
    """The SQLSTATE of a statement, of what was started before, or of what the server says by itself."""
    try:
        if sql:
            start(session, sql)
        while True:
            letter, body = session.receive()
            if letter == "E":
                return wire.decode_error(body).sqlstate
            if letter == "Z":
                return "00000"
    except wire.ConnectionLost:
        return "lost"


def finish(session):
    """To the end of the present answer."""
    while session.receive()[0] != "Z":
        pass


def quick(session, what, limit=5.0):
    begin = time.monotonic()
    for _ in range(50):
        check(session.value("SELECT 1") == "1", f"beside {what}: SELECT 1 answers")
    took = time.monotonic() - begin
    check(took < limit, f"beside {what}, 50 statements took {took:.1f} s")
    return took


def idle(run, node, session):
    before, threads = processes.resident_bytes(node.pid), thread_count(node.pid)
    many = [session() for _ in range(CONNECTIONS)]
    for one in many:
        one.query("SELECT 1")
    growth = (processes.resident_bytes(node.pid) - before) / 1e6
    more = thread_count(node.pid) - threads
    run.say(f"{CONNECTIONS} idle connections: {growth:+.1f} MB, {more:+d} threads")
    check(growth < IDLE_MB_MAX, f"{CONNECTIONS} idle connections take {growth:.0f} MB")
    check(more < THREADS_MORE_MAX, f"{CONNECTIONS} idle connections take {more} threads")
    for one in many:
        one.close()


def timeouts(run, session):
    one = session()
    one.query("SET idle_in_transaction_session_timeout = '200ms'")
    one.query("BEGIN")
    check(sqlstate(one) == "25P03", "a silent block ends with 25P03")
    two = session()
    two.query("SET idle_session_timeout = '500ms'")
    check(sqlstate(two) == "57P05", "a silent session ends with 57P05")
    run.say("silences ended")


def waiting(run, node, session):
    holder, waiter, other = session(), session(), session()
    holder.query("CREATE TABLE t (i int PRIMARY KEY, v int)")
    holder.query("INSERT INTO t VALUES (1, 0)")
    holder.query("BEGIN")
    holder.query("UPDATE t SET v = 1 WHERE i = 1")
    waiter.query("SET statement_timeout = '200ms'")
    check(sqlstate(waiter, "UPDATE t SET v = 2 WHERE i = 1") == "57014", "statement_timeout ends a wait")
    finish(waiter)
    waiter.query("SET statement_timeout = 0")
    start(waiter, "UPDATE t SET v = 2 WHERE i = 1")
    waiter.socket.settimeout(2)
    for _ in range(10):  # the request may come before the statement, and then means nothing
        with socket.create_connection(("127.0.0.1", node.port)) as cancel:
            cancel.sendall(struct.pack("!iiii", 16, 80877102, *waiter.backend_key))
        state = sqlstate(waiter)
        if state != "lost":
            break
    waiter.socket.settimeout(30)
    check(state == "57014", f"a cancel request ends a wait: {state}")
    crowd = [session() for _ in range(40)]
    for one in crowd:
        start(one, "UPDATE t SET v = v + 1 WHERE i = 1")
    took = quick(other, "40 waiting statements")
    crowd.pop().close()  # a waiter's client vanishes: its statement still ends, and lets the lock go
    holder.query("COMMIT")
    for one in crowd:
        check(sqlstate(one) == "00000", "a waiting statement gets its turn")
    run.say(f"40 statements waited, 50 others took {took:.2f} s meanwhile")


def busy(run, session):
    other = session()
    slow = session()
    start(slow, "SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
    took = quick(other, "a client that does not read")
    slow.close()
    long_ones = [session(timeout=120) for _ in range(4)]
    for one in long_ones:
        start(one, "SELECT count(*) FROM generate_series(1, 1000000)")
    took_more = quick(other, "four long queries", 20)
    for one in long_ones:
        check(sqlstate(one) == "00000", "a long query ends")
    run.say(f"beside a slow reader 50 statements took {took:.2f} s, beside four long queries {took_more:.2f} s")


def stop(run, server, session):
    silent, in_block, at_work = session(), session(), session()
    in_block.query("BEGIN")
    start(at_work, "SELECT count(*) FROM generate_series(1, 1000000000)")
    quick(in_block, "a statement without end")  # it has begun by then, most likely
    server.signal(1, signal.SIGTERM)
    for one in (silent, in_block, at_work):
        state = sqlstate(one)
        check(state == "57P01", f"a stop is told with 57P01, not {state}")
    run.wait_until(lambda: not server.alive(1), 30, "the end of the node")
    run.say("stopped")


def test(run):
    server = servers.Cluster(run, 1)
    server.up()
    node = server.nodes[1]
    node.port = int(node.url.split("@")[1].split("/")[0].split(":")[1])

    def session(timeout=30):
        return wire.Session(node.port, timeout=timeout)

    idle(run, node, session)
    timeouts(run, session)
    waiting(run, node, session)
    busy(run, session)
    stop(run, server, session)
    server.down()


run_module.main(test, "connections", deadline=180)
