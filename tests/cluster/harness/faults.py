"""A round of a fault at the node that leads what clients write to, and what the clients at the other nodes saw of it.

Fault: `name`, `strike(cluster, node)`, `heal(cluster, node)`.
"""

import signal
import time

from . import processes, writers as writers_module
from .outcome import FAIL, INFO, OK
from .run import check

CLIENTS = 6
GO_ON_SECONDS = 30  # within which clients must be served again; what they waited is measured, and judged by the caller


class Kill:
    name = "kill -9"

    @staticmethod
    def strike(cluster, node):
        cluster.kill(node)

    @staticmethod
    def heal(cluster, _):
        cluster.up()


class Stop:
    name = "SIGSTOP"

    @staticmethod
    def strike(cluster, node):
        cluster.signal(node, signal.SIGSTOP)
        cluster.run.wait_until(lambda: processes.state(cluster.nodes[node].pid) == "T", 2, "the node stops")

    @staticmethod
    def heal(cluster, node):
        cluster.signal(node, signal.SIGCONT)
        cluster.run.wait_until(lambda: cluster.healthy(node), 20, "the woken node is healthy")


class Isolation:
    """Of a harness.netns.Cluster: the node runs on, and no packet comes to it or from it."""
    name = "isolation"

    @staticmethod
    def strike(cluster, node):
        cluster.cut(node)

    @staticmethod
    def heal(cluster, node):
        cluster.heal(node)
        cluster.run.wait_until(lambda: cluster.healthy(node), 20, "the node is healthy again")


def written_to(cluster, writers):
    """(range, node): the range which applies most of what clients write, and who leads it."""
    before = cluster.ranges()
    writers.wait_acknowledged(100, 30)
    after = cluster.ranges()
    if not after:
        return None, cluster.busiest()  # a stand-in for a cluster

    def growth(number):
        # A range that appeared meanwhile has all of its entries to show; of a table's storage that is right.
        old = before.get(number)
        return max(after[number].applied.values()) - (max(old.applied.values()) if old else 0)

    leaders = [number for number in sorted(after, key=growth, reverse=True) if after[number].leaseholder]
    check(bool(leaders), "no range has a leaseholder")
    return leaders[0], after[leaders[0]].leaseholder


def one_round(run, cluster, number, fault, seconds, beside=lambda survivors: None):
    """Returns what happened, as plain data. The fault lasts until clients are served again, and `seconds` at least. `beside` is called
    with the other nodes' numbers before the fault."""
    writers_module.create_tables(cluster, number % len(cluster.nodes) + 1)
    everywhere = writers_module.Writers(cluster, list(cluster.nodes), count=CLIENTS, seed=run.random.random()).start()
    busy, victim = written_to(cluster, everywhere)
    survivors = [n for n in cluster.nodes if n != victim]
    writers = writers_module.Writers(cluster, survivors, count=CLIENTS, seed=run.random.random(), op_timeout=GO_ON_SECONDS,
                                     beside=everywhere).start()
    run.on_failure[:] = [lambda: writers.history.write(run.folder / "history.jsonl")]
    everywhere.stop()
    beside(survivors)
    writers.wait_acknowledged(100, 30)
    leads = busy is None or cluster.ranges()[busy].leaseholder == victim  # a lease may have moved meanwhile: then the round shows little
    struck = time.monotonic()
    fault.strike(cluster, victim)
    if busy is not None:  # a stand-in is one server: nobody goes on without it
        writers.wait_all_served(struck + 0.2, GO_ON_SECONDS)
    time.sleep(max(0.0, struck + seconds - time.monotonic()))
    healed = time.monotonic()
    fault.heal(cluster, victim)
    writers.wait_acknowledged(50, GO_ON_SECONDS)
    end = time.monotonic()
    gap, gap_begin = writers.history.longest_gap(struck, end)
    each = [writers.history.longest_gap(struck, end, client)[0] for client in writers.clients]
    writers.stop()
    caught_up = cluster.wait_whole(30)
    rows = writers_module.judge(writers, cluster)
    counts = writers.history.counts(struck)
    return {"fault": fault.name, "round": number, "node": victim, "leads": leads, "fault_seconds": round(healed - struck, 3), "gap_seconds": round(gap, 3),
            "gap_began_seconds": round(gap_begin - struck, 3), "client_gap_seconds": round(max(each), 3),
            "caught_up_seconds": round(caught_up, 3), "acknowledged": counts[OK], "unknown": counts[INFO], "refused": counts[FAIL],
            "rows": rows}
