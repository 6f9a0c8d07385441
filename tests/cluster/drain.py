#!/usr/bin/python3
"""SIGTERM drains: the node ends with status 0 in time, clients of the other nodes hardly notice, its own are told (G20)."""

import signal
import subprocess
import time

from harness import processes, run as run_module, servers, writers as writers_module
from harness.outcome import OK
from harness.run import check
from harness.wire import ConnectionLost, NotConnected, ServerError

GAP_MAX = 2.0  # the floor of G20 is 1 s; shared test machines need air
DRAIN_MAX = 15.0


def drain(run, cluster, victim):
    survivors = [n for n in cluster.nodes if n != victim]
    writers_module.create_tables(cluster, survivors[0])
    writers = writers_module.Writers(cluster, survivors, count=4, seed=run.random.random()).start()
    run.on_failure[:] = [lambda: writers.history.write(run.folder / "history.jsonl")]
    writers.wait_acknowledged(100, 30)
    idle = cluster.session(victim)
    begin = time.monotonic()
    cluster.signal(victim, signal.SIGTERM)
    check(processes.wait_gone([cluster.nodes[victim].pid], DRAIN_MAX), f"node {victim} has not ended {DRAIN_MAX} s after SIGTERM")
    took = time.monotonic() - begin
    writers.wait_acknowledged(50, 10)
    gap = writers.history.longest_gap(begin, time.monotonic())[0]
    refused = [(o, e) for (o, e) in writers.history.errors(begin) if e and "40001" not in e and "40P01" not in e]
    check("stopped" in cluster.log(victim)[-2000:], f"node {victim}'s log does not end with its stop:\n{cluster.log(victim)[-500:]}")
    try:
        idle.query("SELECT 1")
        raise AssertionError("a session outlived its node")
    except ServerError as error:
        check(error.sqlstate == "57P01", f"the drained node's session got {error}")
    except ConnectionLost:
        pass
    try:
        cluster.session(victim).close()
        raise run_module.Failure("a stopped node takes connections")
    except NotConnected:
        pass
    run.say(f"node {victim} drained in {took:.1f} s, longest gap elsewhere {gap:.2f} s, "
            f"failures other than retries: {refused or 'none'}")
    check(gap <= GAP_MAX, f"the drain of node {victim} stopped the others for {gap:.2f} s")
    check(not refused, f"a graceful stop failed transactions elsewhere: {refused}")
    cluster.up()
    writers.wait_acknowledged(50, 10)
    writers.stop()
    cluster.wait_whole(30)
    writers_module.judge(writers, cluster)
    check(writers.history.counts()[OK] > 0, "nothing was written")


def exit_status(run):
    """./dev up leaves nodes to init, so the exit status is looked at on a node of our own."""
    base = run.free_port_block()
    node = subprocess.Popen([str(run.bin / "dbserver"), "start", "--store", str(run.folder / "lone" / "store"), "--sql-addr",
                             f"127.0.0.1:{base}", "--rpc-addr", f"127.0.0.1:{base + 100}", "--http-addr", f"127.0.0.1:{base + 200}"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    def answers():
        try:
            with servers.Session(base) as session:
                return session.value("SELECT 1") == "1"
        except (NotConnected, ConnectionLost, ServerError):
            check(node.poll() is None, f"dbserver ended at its start with {node.returncode}")
            return False
    run.wait_until(answers, 30, "a lone dbserver answers")
    node.send_signal(signal.SIGTERM)
    try:
        _, errors = node.communicate(timeout=DRAIN_MAX)
    except subprocess.TimeoutExpired:
        raise run_module.Failure(f"a lone dbserver does not end within {DRAIN_MAX} s of SIGTERM") from None
    check(node.returncode == 0, f"exit status {node.returncode} after SIGTERM:\n{errors[-1000:]}")
    run.say("a lone dbserver ends with status 0")


def test(run):
    (run.folder / "lone").mkdir()
    exit_status(run)
    cluster = servers.Cluster(run)
    run.say(f"cluster ready after {cluster.up():.1f} s")
    for victim in list(cluster.nodes)[: run.options.rounds or 3]:
        drain(run, cluster, victim)
    cluster.down()


run_module.main(test, "drain", deadline=240)
