#!/usr/bin/python3
"""kill -9 of all nodes at once under load, restart: every acknowledged transaction is there (N1, I11)."""

import os
import signal
import time

from harness import pgbench, processes, run as run_module, servers, writers as writers_module
from harness.outcome import OK
from harness.run import check


def kill_everyone(cluster):
    pids = [node.pid for node in cluster.nodes.values()]
    for number in cluster.nodes:
        if cluster.alive(number):
            cluster.signal(number, signal.SIGKILL)
    check(processes.wait_gone(pids, 5), "a node survived kill -9")


def one_round(run, cluster, number):
    writers = writers_module.Writers(cluster, list(cluster.nodes), count=6, seed=run.random.random()).start()
    run.on_failure[:] = [lambda: writers.history.write(run.folder / "history.jsonl")]
    writers.wait_acknowledged(100, 30)
    time.sleep(run.random.uniform(0.0, 0.5))
    if isinstance(cluster, servers.Cluster):
        kill_everyone(cluster)
    else:
        cluster.kill(1)
    killed_at = time.monotonic()
    before = writers.history.counts()[OK]
    cluster.up()
    writers.wait_acknowledged(20, 30, since=killed_at)
    back = writers.history.longest_gap(killed_at, time.monotonic())[0]
    writers.stop()
    rows = writers_module.judge(writers, cluster)
    counts = writers.history.counts()
    run.say(f"round {number}: all killed after {before} acknowledgements, answers again after {back:.1f} s; "
            f"{counts['info']} unknown, {counts['fail']} refused, {rows} rows the same on every node")


def test(run):
    rounds = run.options.rounds or 20
    cluster = servers.make(run)
    run.say(f"cluster ready after {cluster.up():.1f} s")
    with_pgbench = os.environ.get("ORRERY_TEST_PGBENCH", "1") == "1"
    if with_pgbench:
        pgbench.initialise(run, cluster.nodes[1].port, 1, 120)
    for number in range(1, rounds + 1):
        writers_module.create_tables(cluster, number % 3 + 1)
        bench = with_pgbench and pgbench.start(cluster.nodes[2].port, "-n", "-c", 2, "-T", 60)
        one_round(run, cluster, number)
        if bench:
            bench.kill()  # its connections broke with the nodes
            bench.communicate()
            pgbench.invariants(cluster)
    cluster.wait_whole(30)
    run.say(f"{rounds} rounds: nothing acknowledged was lost")
    cluster.down()


run_module.main(test, "kill_all", deadline=420)
