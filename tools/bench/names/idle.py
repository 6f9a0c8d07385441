"""What servers cost while nobody asks anything: three nodes with many ranges; one node and PostgreSQL 15 with many connections.

CPU is of all server processes together, in hundredths of one core, over --seconds. Memory is resident memory, pages that several
processes share counted once (PSS): of the largest node for ranges, of all processes for connections; `more` is what the connections
added, each of which has run one statement. `awake`: replicas that still have timers and messages.
"""

import os
import resource
import time

from harness import processes, ranges as harness_ranges

from driver import metrics, pairs
from driver.accounting import cpu_share
from driver.command import numbers
from driver.sides import Orrery, Postgres

CALM_SECONDS = 60  # to wait at most until ranges fall quiet, and a second more for each twenty of them


def add_options(parser):
    parser.add_argument("--ranges", type=numbers, default=[10, 1_000, 10_000], metavar="N,…", help="of three nodes (default 10,1000,10000)")
    parser.add_argument("--connections", type=numbers, default=[1_000], metavar="N,…", help="to one node and to PostgreSQL (default 1000)")
    parser.add_argument("--only", choices=("ranges", "connections"), help="one half of it")
    parser.add_argument("--seconds", type=int, default=20, help="of each measurement (default 20)")
    parser.set_defaults(noise=False)


def prepare_process(options):
    """Room for this process's own ends of the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(options.connections) + 200
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise SystemExit(f"bench: {wanted} open files are needed, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def bench(run):
    options = run.options
    document = {"seconds": options.seconds, "columns": ["server", "nodes", "ranges", "connections", "cpu %", "MB", "more MB", "awake"],
                "results": [], "notes": [
                    "cpu %: of one core, all processes; MB: resident, shared pages once, of the largest node (ranges) or of all processes "
                    "(connections); more: by the connections; awake: replicas with timers."]}
    if options.only != "connections":
        ranges(run, document)
    if options.only != "ranges":
        connections(run, Orrery(run, 1), document)
        if not run.profiler:
            connections(run, Postgres(run, 1, more_settings=(f"max_connections={max(options.connections) + 100}",)), document)
    return document


def ranges(run, document):
    """A cluster for each number; the ranges are parts of one table with a row each."""
    os.environ["ORRERY_TABLE_RANGES"] = "own"
    for wanted in run.options.ranges:
        side = Orrery(run, 3, f"ranges{wanted}")
        side.start()
        harness_ranges.make(run, side.cluster, wanted)
        calm(run, side, CALM_SECONDS + wanted / 20)
        measure(run, side, {"server": side.name, "nodes": 3, "ranges": wanted, "awake": awake(side)}, document)
        side.stop()
    del os.environ["ORRERY_TABLE_RANGES"]


def awake(side):
    addresses = [node.http for node in side.cluster.nodes.values()]
    return int(metrics.total(addresses, "orrery_kv_ranges") - metrics.total(addresses, "orrery_kv_quiet_replicas"))


def calm(run, side, seconds):
    """Waits until as many replicas stay quiet for half a minute, and the nodes have done what the making of ranges left to do. Leases that are
    evened out wake replicas again, so few of them awake for a moment says nothing."""
    begin, seen = time.monotonic(), []
    while time.monotonic() - begin < seconds and not (len(seen) == 15 and max(seen) - min(seen) <= max(10, max(seen) // 10)):
        seen = [*seen[-14:], awake(side)]
        time.sleep(2)
    pairs.settle(side)
    run.say(f"{seen[-1]} replicas awake after {time.monotonic() - begin:.0f} s")


def connections(run, side, document):
    side.start()
    side.durability()
    before = processes.shared_once_bytes(side.pids())
    measure(run, side, {"server": side.name, "nodes": 1, "connections": 0}, document, before)
    many = []
    for wanted in sorted(run.options.connections):
        while len(many) < wanted:
            many.append(side.session())
            many[-1].query("SELECT 1")
        now = processes.shared_once_bytes(side.pids())
        run.say(f"{side.name}: {wanted} connections")
        measure(run, side, {"server": side.name, "nodes": 1, "connections": wanted, "more MB": (now - before) / 1e6}, document, now)
    for session in many:
        session.close(politely=True)
    side.stop()


def measure(run, side, row, document, resident=None):
    title = {key: row[key] for key in ("server", "ranges", "connections") if key in row}
    if run.profiler:
        run.profiler.record(run, side, title, lambda: time.sleep(run.options.seconds))
        return
    share = cpu_share(side.pids(), run.options.seconds)
    resident = resident or max(processes.shared_once_bytes([pid]) for pid in side.pids())
    row.update({"MB": resident / 1e6, "cpu %": 100 * share})
    document["results"].append(row)
    run.say(", ".join(f"{key} {value:.1f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))
