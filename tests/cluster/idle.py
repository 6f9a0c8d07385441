#!/usr/bin/python3
"""What three nodes with some 20 ranges cost while nobody asks anything. Bounds are generous; the goals are printed beside."""

import os
import re
import time

from harness import processes, run as run_module, servers
from harness.run import check

CPU_GOAL, CPU_MAX = 0.03, 0.15  # of one core, all nodes together
RSS_GOAL, RSS_MAX = 150, 400  # MB, each node
QUIET_SECONDS, TIDIED_SECONDS = 90, 12


def add_options(parser):
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--ranges", type=int, default=20)


def wait_quiet(cluster, count):
    """Until on every node all ranges but the system's, which descriptor leases wake now and then, have been quiet for longer
    than anything that was left to do waits (records are tidied up after 10 s)."""
    limit = time.monotonic() + QUIET_SECONDS
    since = time.monotonic()
    while time.monotonic() < limit:
        pages = [cluster.http(n, "/metrics")[1] for n in cluster.nodes]
        quiet = [int(float(re.search(r"^orrery_kv_quiet_replicas (\S+)", page, re.MULTILINE).group(1))) for page in pages]
        if min(quiet) < count - 1:
            since = time.monotonic()
        if time.monotonic() - since > TIDIED_SECONDS:
            return
        time.sleep(0.5)
    raise run_module.Failure(f"after {QUIET_SECONDS} s without requests {quiet} of {count} ranges are quiet on the nodes")


def test(run):
    os.environ["ORRERY_TABLE_RANGES"] = "own"
    cluster = servers.Cluster(run)
    run.say(f"cluster ready after {cluster.up():.1f} s")
    with cluster.session(1) as session:
        made = 0
        while len(cluster.ranges()) < run.options.ranges and made < run.options.ranges:
            made += 1
            session.query(f"CREATE TABLE idle_{made} (id int PRIMARY KEY, v text)")
            session.query(f"INSERT INTO idle_{made} VALUES (1, 'x')")
    count = len(cluster.ranges())
    check(count >= run.options.ranges, f"only {count} ranges after {made} tables: a table is not a range of its own")
    wait_quiet(cluster, count)
    pids = [node.pid for node in cluster.nodes.values()]
    before, begin = processes.cpu_seconds(pids), time.monotonic()
    time.sleep(run.options.seconds)
    share = (processes.cpu_seconds(pids) - before) / (time.monotonic() - begin)
    resident = {n: processes.resident_bytes(node.pid) / 1e6 for n, node in cluster.nodes.items()}
    run.say(f"{count} ranges, idle: {100 * share:.1f} % of one core in total (goal {100 * CPU_GOAL:.0f} %), resident MB "
            + ", ".join(f"node {n}: {mb:.0f}" for n, mb in resident.items()) + f" (goal {RSS_GOAL})")
    check(share <= CPU_MAX, f"idle nodes use {100 * share:.1f} % of a core")
    check(max(resident.values()) <= RSS_MAX, f"an idle node holds {max(resident.values()):.0f} MB")
    cluster.down()


run_module.main(test, "idle", deadline=180, add_options=add_options)
