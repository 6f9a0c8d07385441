#!/usr/bin/python3
"""kill -9 of the node that leads most ranges, under load through the other nodes (N1, G16, G21).

A round: writers work, the node is killed, statements must go on within 6 s (the goal is 3); the node is started again, gets
its replicas up to date and shows the same rows. Then everything that was acknowledged is looked for through every node. In
the first round pgbench runs, too; its sums must hold and its clients must go on.
"""

import os
import statistics
import time

from harness import pgbench, run as run_module, servers, writers as writers_module
from harness.outcome import OK
from harness.run import check

GAP_MAX, GAP_GOAL = 6.0, 3.0
DOWN_SECONDS = 1.0


def one_round(run, cluster, number, with_pgbench):
    victim = cluster.busiest()
    survivors = [n for n in cluster.nodes if n != victim]
    gateway = survivors[number % len(survivors)]
    writers = writers_module.Writers(cluster, survivors, count=6, seed=run.random.random()).start()
    run.on_failure[:] = [lambda: writers.history.write(run.folder / "history.jsonl")]
    bench = pgbench.start(cluster.nodes[gateway].port, "-n", "-c", 4, "-j", 1, "-T", 12, "-P", 1) if with_pgbench else None
    writers.wait_acknowledged(100, 30)
    leases = dict(cluster.leases())
    killed_at = time.monotonic()
    cluster.kill(victim)
    time.sleep(DOWN_SECONDS)
    writers.wait_acknowledged(20, GAP_MAX + 4)
    start_seconds = cluster.up()
    writers.wait_acknowledged(50, 20)
    end = time.monotonic()
    gap, gap_begin = writers.history.longest_gap(killed_at, end)
    writers.stop()
    caught_up = cluster.wait_whole(30)
    rows = writers_module.judge(writers, cluster)
    counts = writers.history.counts()
    run.say(f"round {number}: node {victim} of {leases} killed, gap {gap:.2f} s ({gap_begin - killed_at:+.2f}), ready after "
            f"{start_seconds:.1f} s, caught up after {caught_up:.1f} s; {counts[OK]} acknowledged, {counts['info']} unknown, "
            f"{counts['fail']} refused, {rows} rows the same on every node")
    check(counts[OK] > 0.2 * sum(counts.values()), f"hardly anything succeeded: {counts} {writers.history.errors().most_common(3)}")
    if bench:
        judge_pgbench(run, cluster, pgbench.finish(bench, 60))
    return gap


def judge_pgbench(run, cluster, report):
    run.say(f"pgbench through a surviving node: {report.processed:.0f} transactions, {report.failed:.0f} failed, "
            f"{report.aborted_clients} of 4 clients given up (outcome unknown)\n" + report.errors.strip())
    check(report.processed > 0, f"pgbench did nothing:\n{report.text}{report.errors}")
    check(report.aborted_clients < 4, f"no client of pgbench went on:\n{report.errors}")
    run.say(f"pgbench's sums are equal through every node: {pgbench.invariants(cluster)}")


def test(run):
    rounds = run.options.rounds or 20
    cluster = servers.make(run)
    run.say(f"cluster ready after {cluster.up():.1f} s")
    with_pgbench = os.environ.get("ORRERY_TEST_PGBENCH", "1") == "1"
    if with_pgbench:
        pgbench.initialise(run, cluster.nodes[1].port, 1, 120)
    gaps = []
    for number in range(1, rounds + 1):
        writers_module.create_tables(cluster, number % 3 + 1)
        gaps.append(one_round(run, cluster, number, with_pgbench and number == 1))
    run.say(f"{rounds} rounds: longest gap median {statistics.median(gaps):.2f} s, maximum {max(gaps):.2f} s (goal {GAP_GOAL} s)")
    late = [f"{gap:.2f} s in round {i}" for i, gap in enumerate(gaps, 1) if gap > GAP_MAX]
    check(not late, f"statements went on later than {GAP_MAX} s: {late}")
    cluster.down()


run_module.main(test, "kill_one", deadline=420)
