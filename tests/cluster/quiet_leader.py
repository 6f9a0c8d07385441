#!/usr/bin/python3
"""kill -9 of the node that leads a table's range while that range is quiet: no message of raft tells the others, yet the next
statement through them is served (replica.md, "Quiet ranges"; N1, G16), and every row that was acknowledged is there."""

import re
import time

from harness import run as run_module, servers
from harness.run import check
from harness.wire import ConnectionLost, NotConnected, ServerError

GAP_MAX, GAP_GOAL = 6.0, 3.0


def quiet_replicas(cluster, number):
    page = cluster.http(number, "/metrics")[1]
    found = re.search(r"^orrery_kv_quiet_replicas (\S+)", page, re.MULTILINE)
    return int(float(found.group(1))) if found else -1


def table_range(cluster):
    """The last one: the table's own, or that of all tables."""
    return max(cluster.ranges().values(), key=lambda r: r.start)


def insert(cluster, number, row):
    """Whether it was acknowledged. A row that is there already is an earlier attempt's."""
    try:
        with cluster.session(number, GAP_MAX) as session:
            session.query(f"INSERT INTO quiet VALUES ({row})")
        return True
    except ServerError as error:
        return error.sqlstate == "23505"
    except (NotConnected, ConnectionLost):
        return False


def test(run):
    cluster = servers.Cluster(run)
    run.say(f"cluster ready after {cluster.up():.1f} s")
    with cluster.session(1) as session:
        session.query("CREATE TABLE quiet (id int PRIMARY KEY)")
    count = len(cluster.ranges())
    rounds = run.options.rounds or 3
    gaps = []
    for number in range(1, rounds + 1):
        cluster.wait_whole(30)
        # All but the system's range, which descriptor leases wake now and then.
        run.wait_until(lambda: all(quiet_replicas(cluster, n) >= count - 1 for n in cluster.nodes), 60, "ranges fall quiet", 0.2)
        victim = table_range(cluster).leaseholder
        check(victim is not None, "nobody leads the table's range")
        survivors = [n for n in cluster.nodes if n != victim]
        cluster.kill(victim)
        # At once, and after the others have had time to notice by themselves.
        time.sleep(0 if number % 2 == 1 else 5)
        begin = time.monotonic()
        run.wait_until(lambda: insert(cluster, survivors[number % 2], number), GAP_MAX + 4, "an INSERT after the kill")
        gaps.append(time.monotonic() - begin)
        for gateway in survivors:
            with cluster.session(gateway) as session:
                rows = session.value("SELECT count(*) FROM quiet")
                check(rows == str(number), f"{rows} rows through node {gateway} instead of {number}")
        check(table_range(cluster).leaseholder in survivors, "the killed node still leads the table's range")
        run.say(f"round {number}: node {victim}, which led a quiet range, killed; an INSERT was done after {gaps[-1]:.2f} s")
        cluster.up()
    check(max(gaps) <= GAP_MAX, f"statements went on later than {GAP_MAX} s: {gaps}")
    run.say(f"longest wait {max(gaps):.2f} s (goal {GAP_GOAL} s)")
    cluster.down()


run_module.main(test, "quiet_leader", deadline=240)
