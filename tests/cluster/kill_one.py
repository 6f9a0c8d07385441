#!/usr/bin/python3
"""kill -9 of the node that leads what clients write to, under load through the other nodes (N1, G16, G21).

A round: writers work, the node is killed, statements must go on within 6 s (the goal is 3); the node is started again, gets
its replicas up to date and shows the same rows. Then everything that was acknowledged is looked for through every node. In
the first round pgbench runs, too; its sums must hold and its clients must go on.
"""

import os
import statistics

from harness import faults, pgbench, run as run_module, servers
from harness.run import check

GAP_MAX, GAP_GOAL = 6.0, 3.0
DOWN_SECONDS = 1.0


def one_round(run, cluster, number, with_pgbench):
    started = []

    def start_pgbench(survivors):
        gateway = survivors[number % len(survivors)]
        started.append(pgbench.start(cluster.nodes[gateway].port, "-n", "-c", 4, "-j", 1, "-T", 12, "-P", 1))

    seen = faults.one_round(run, cluster, number, faults.Kill, DOWN_SECONDS, **({"beside": start_pgbench} if with_pgbench else {}))
    run.say("round {round}: node {node} killed, gap {gap_seconds:.2f} s ({gap_began_seconds:+.2f}), one client's {client_gap_seconds:.2f} s, caught up "
            "after {caught_up_seconds:.1f} s; {acknowledged} acknowledged, {unknown} unknown, {refused} refused, {rows} rows the same on every "
            "node".format(**seen))
    share = seen["acknowledged"] / (seen["acknowledged"] + seen["unknown"] + seen["refused"])
    check(share > 0.2, f"hardly anything succeeded: {seen}")
    for bench in started:
        judge_pgbench(run, cluster, pgbench.finish(bench, 60))
    return seen["gap_seconds"]


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
        gaps.append(one_round(run, cluster, number, with_pgbench and number == 1))
    run.say(f"{rounds} rounds: longest gap median {statistics.median(gaps):.2f} s, maximum {max(gaps):.2f} s (goal {GAP_GOAL} s)")
    late = [f"{gap:.2f} s in round {i}" for i, gap in enumerate(gaps, 1) if gap > GAP_MAX]
    check(not late, f"statements went on later than {GAP_MAX} s: {late}")
    cluster.down()


run_module.main(test, "kill_one", deadline=420)
