#!/usr/bin/python3
"""SIGSTOP of the node that leads most ranges: the others go on; woken, it does no harm and shows the same rows (N3, G17)."""

import signal
import time

from harness import processes, run as run_module, servers, writers as writers_module
from harness.run import check

GAP_MAX = 6.0


def test(run):
    cluster = servers.Cluster(run)
    run.say(f"cluster ready after {cluster.up():.1f} s")
    gaps = []
    for number in range(1, (run.options.rounds or 3) + 1):
        writers_module.create_tables(cluster, 1)
        victim = cluster.busiest()
        survivors = [n for n in cluster.nodes if n != victim]
        writers = writers_module.Writers(cluster, survivors, count=6, seed=run.random.random(), op_timeout=20).start()
        # These are asleep with the node in mid-statement, and wake with it: a zombie leaseholder must refuse them.
        inside = writers_module.Writers(cluster, [victim], count=2, seed=run.random.random(), op_timeout=30,
                                        beside=writers).start()
        run.on_failure[:] = [lambda w=writers: w.history.write(run.folder / "history.jsonl")]
        writers.wait_acknowledged(100, 30)
        stopped_at = time.monotonic()
        cluster.signal(victim, signal.SIGSTOP)
        run.wait_until(lambda: processes.state(cluster.nodes[victim].pid) == "T", 2, "the node stops")
        time.sleep(run.random.uniform(1.0, 6.0))
        writers.wait_acknowledged(20, GAP_MAX + 4)
        woken_at = time.monotonic()
        cluster.signal(victim, signal.SIGCONT)
        writers.wait_acknowledged(50, 15)
        gaps.append(writers.history.longest_gap(stopped_at, time.monotonic())[0])
        run.wait_until(lambda: cluster.healthy(victim), 20, "the woken node is healthy")
        writers.stop()
        inside.stop()
        caught_up = cluster.wait_whole(30)
        rows = writers_module.judge(writers, cluster)
        run.say(f"round {number}: node {victim} asleep for {woken_at - stopped_at:.1f} s, gap {gaps[-1]:.2f} s, caught up after "
                f"{caught_up:.1f} s, {rows} rows the same on every node")
    check(max(gaps) <= GAP_MAX, f"statements went on later than {GAP_MAX} s: {gaps}")
    cluster.down()


run_module.main(test, "pause", deadline=180)
