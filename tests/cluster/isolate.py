#!/usr/bin/python3
"""The node that leads what clients write to loses its network without a word: the others go on; joined again, it does no harm (N2, G17).

Root only, for network namespaces (harness/netns.py); fails, never skips.
"""

import statistics

from harness import faults, netns, run as run_module
from harness.run import check

GAP_MAX, GAP_GOAL = 6.0, 4.0


def test(run):
    netns.enter()
    cluster = netns.Cluster(run)
    run.say(f"cluster ready after {cluster.up():.1f} s")
    gaps = []
    for number in range(1, (run.options.rounds or 3) + 1):
        seen = faults.one_round(run, cluster, number, faults.Isolation, run.random.uniform(2.0, 7.0))
        gaps.append(seen["gap_seconds"])
        run.say("round {round}: node {node} cut off for {fault_seconds:.1f} s, gap {gap_seconds:.2f} s, one client's {client_gap_seconds:.2f} s, "
                "caught up after {caught_up_seconds:.1f} s, {rows} rows the same on every node".format(**seen))
    run.say(f"{len(gaps)} rounds: longest gap median {statistics.median(gaps):.2f} s, maximum {max(gaps):.2f} s (goal {GAP_GOAL} s)")
    check(max(gaps) <= GAP_MAX, f"statements went on later than {GAP_MAX} s: {gaps}")
    cluster.down()


run_module.main(test, "isolate", deadline=180)
