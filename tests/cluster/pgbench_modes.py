#!/usr/bin/python3
"""pgbench -i through one node, its three modes through another, then through each in turn, where leases follow it: nothing fails,
and the sums hold through every node."""

from harness import pgbench, run as run_module, servers
from harness.run import check


def add_options(parser):
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=5, help="of each mode")
    parser.add_argument("--nodes", type=int, default=3)


def leaseholders(cluster):
    return {r.id: r.leaseholder for r in cluster.ranges().values() if r.leaseholder}


def test(run):
    options = run.options
    cluster = servers.make(run, options.nodes)
    run.say(f"cluster ready after {cluster.up():.1f} s")
    pgbench.initialise(run, cluster.nodes[1].port, options.scale, 60 + 60 * options.scale)
    run.say(f"pgbench -i -s {options.scale} done")
    gateway = min(2, options.nodes)
    total = 0
    moves = 0
    for mode in ("simple", "extended", "prepared"):
        # Without -n pgbench vacuums and empties its history first: good once, while that is empty.
        report = pgbench.bench(cluster.nodes[gateway].port, "-c", 8, "-j", 2, "-T", options.seconds, "-M", mode,
                               *(["-n"] if total else []), timeout=options.seconds + 60)
        run.say(f"{mode}: {report.processed:.0f} transactions, {report.tps:.0f} a second, {report.failed:.0f} failed")
        check(report.clean, f"pgbench -M {mode} is not clean (exit {report.status}):\n{report.text}{report.errors}")
        total += report.processed
        with cluster.session(1) as session:
            rows = int(session.value("SELECT count(*) FROM pgbench_history"))
        check(rows == total, f"pgbench was told of {total:.0f} commits, pgbench_history has {rows} rows")
    for gateway in [n for n in (3, 1, 2) if n <= options.nodes] * 2:
        before = leaseholders(cluster)
        report = pgbench.bench(cluster.nodes[gateway].port, "-n", "-c", 8, "-j", 2, "-T", options.seconds, timeout=options.seconds + 60)
        after = leaseholders(cluster)
        moved = sum(before[r] != node for r, node in after.items() if r in before)
        run.say(f"through node {gateway}: {report.processed:.0f} transactions, {report.failed:.0f} failed, {moved} leases moved")
        check(report.clean, f"pgbench through node {gateway} is not clean (exit {report.status}):\n{report.text}{report.errors}")
        moves += moved
        total += report.processed
    check(moves > 0 or options.nodes < 3 or options.server == "postgres", "no lease has followed its requests")
    with cluster.session(1) as session:
        rows = int(session.value("SELECT count(*) FROM pgbench_history"))
    check(rows == total, f"pgbench was told of {total:.0f} commits, pgbench_history has {rows} rows")
    run.say(f"balances of accounts, tellers, branches and the history's deltas: {pgbench.invariants(cluster)} through every node")
    report = pgbench.bench(cluster.nodes[gateway].port, "-n", "-S", "-c", 8, "-j", 2, "-T", 2, "-M", "prepared", timeout=30)
    check(report.clean, f"pgbench -S is not clean:\n{report.text}{report.errors}")
    cluster.down()


run_module.main(test, "pgbench_modes", deadline=600, add_options=add_options)
