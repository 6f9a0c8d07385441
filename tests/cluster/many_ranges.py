#!/usr/bin/python3
"""Many ranges that nobody uses cost nothing, and thousands of them do no harm when a node dies and comes back.

Three nodes with --ranges ranges (1,000 in ctest; 10,000 is the goal of performance.md). Idle, they may use few CPU and little memory. Then
kill -9 of a node that leads a third of them: a first statement on each of some of its ranges must be answered in time, and the survivors must
be at rest again soon. Then the node comes back, all nodes are killed and come back, and a node is drained.
"""

import os
import threading
import time

from harness import processes, ranges, run as run_module, servers
from harness.run import check
from harness.wire import ConnectionLost, NotConnected, ServerError

CPU_GOAL, CPU_MAX = 0.05, 0.25  # of one core, all nodes together
RSS_GOAL, RSS_MAX = 400, 400  # MB, each node
FIRST_GOAL, FIRST_MAX = 3.0, 6.0  # seconds until a lost node's range answers
PROBES = 20


def add_options(parser):
    parser.add_argument("--ranges", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10)


def pids(cluster):
    return [cluster.nodes[n].pid for n in cluster.nodes if cluster.alive(n)]


def spent(cluster, seconds):
    """CPU seconds a second of the nodes that are up, over so long."""
    before, begin = processes.cpu_seconds(pids(cluster)), time.monotonic()
    time.sleep(seconds)
    return (processes.cpu_seconds(pids(cluster)) - before) / (time.monotonic() - begin)


def idle(run, cluster, what):
    share = spent(cluster, run.options.seconds)
    resident = {n: processes.resident_bytes(cluster.nodes[n].pid) / 1e6 for n in cluster.nodes if cluster.alive(n)}
    run.say(f"{what}: {100 * share:.1f} % of one core in total (goal {100 * CPU_GOAL:.0f} %), resident MB "
            + ", ".join(f"node {n}: {mb:.0f}" for n, mb in resident.items()) + f" (goal {RSS_GOAL}); leases {ranges.leases(cluster)}")
    check(share <= CPU_MAX, f"idle nodes use {100 * share:.1f} % of a core")
    check(max(resident.values()) <= RSS_MAX, f"an idle node holds {max(resident.values()):.0f} MB")


def first_answers(cluster, gateway, ids, begin):
    """Seconds from `begin` until a statement on each of these rows was answered, each on a connection of its own."""
    took = {}

    def ask(row):
        while time.monotonic() < begin + 20:
            try:
                with cluster.session(gateway, 20) as session:
                    session.query(f"UPDATE {ranges.TABLE} SET v = 'y' WHERE id = {row}")
                took[row] = time.monotonic() - begin
                return
            except (ServerError, ConnectionLost, NotConnected):
                time.sleep(0.02)

    threads = [threading.Thread(target=ask, args=(row,), daemon=True) for row in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    check(len(took) == len(ids), f"{len(ids) - len(took)} of {len(ids)} statements were never answered")
    return sorted(took.values())


def at_rest_again(run, cluster, what, seconds=120):
    before, begin = processes.cpu_seconds(pids(cluster)), time.monotonic()
    ranges.wait_quiet(run, cluster, seconds)
    took = time.monotonic() - begin
    run.say(f"{what}: at rest after {took:.0f} s, which cost {processes.cpu_seconds(pids(cluster)) - before:.1f} s of CPU; "
            f"leases {ranges.leases(cluster)}")


def lose_a_node(run, cluster, ids):
    victim = max(ranges.leases(cluster).items(), key=lambda item: item[1])[0]
    gateway = next(n for n in cluster.nodes if n != victim)
    sample = run.random.sample(ids, min(len(ids), 3 * PROBES))
    begin = time.monotonic()
    cluster.kill(victim)
    took = first_answers(cluster, gateway, sample, begin)
    run.say(f"node {victim} killed: first statements on {len(took)} ranges answered within {took[-1]:.2f} s, median "
            f"{took[len(took) // 2]:.2f} s (goal {FIRST_GOAL} s)")
    check(took[-1] <= FIRST_MAX, f"a range answered only after {took[-1]:.2f} s")
    at_rest_again(run, cluster, f"without node {victim}")
    run.say(f"node {victim} is ready again after {cluster.up():.1f} s")
    at_rest_again(run, cluster, f"with node {victim} again")


def lose_all(run, cluster, ids):
    for number in cluster.nodes:
        cluster.kill(number)
    run.say(f"all nodes killed, ready again after {cluster.up():.1f} s")
    took = first_answers(cluster, 1, run.random.sample(ids, min(len(ids), 3 * PROBES)), time.monotonic())
    run.say(f"first statements on {len(took)} ranges answered within {took[-1]:.2f} s, median {took[len(took) // 2]:.2f} s")
    check(took[-1] <= FIRST_MAX, f"a range answered only after {took[-1]:.2f} s")
    at_rest_again(run, cluster, "after all nodes were killed")


def test(run):
    os.environ["ORRERY_TABLE_RANGES"] = "own"
    cluster = servers.Cluster(run)
    run.say(f"cluster ready after {cluster.up():.1f} s")
    ids = ranges.make(run, cluster, run.options.ranges)
    run.say(f"leases evened out after {ranges.wait_balanced(run, cluster, 60 + run.options.ranges / 20):.0f} s more")
    run.say(f"quiet after {ranges.wait_quiet(run, cluster, 120):.0f} s more")
    idle(run, cluster, f"{run.options.ranges} ranges, idle")
    lose_a_node(run, cluster, ids)
    lose_all(run, cluster, ids)
    with cluster.session(2, 120) as session:
        count = session.value(f"SELECT count(*) FROM {ranges.TABLE}")
        check(count == str(len(ids)), f"{count} of {len(ids)} rows are there")
    begin = time.monotonic()
    cluster.down()
    run.say(f"stopped in order within {time.monotonic() - begin:.1f} s")


run_module.main(test, "many_ranges", deadline=300, add_options=add_options)
