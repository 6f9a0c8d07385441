"""What servers cost while nobody asks anything: three nodes with many ranges; one node and PostgreSQL 15 with many connections.

CPU is of all server processes together, in hundredths of one core, over --seconds. Memory is resident memory, pages that several
processes share counted once (PSS): of the largest node for ranges, of all processes for connections; `more` is what the connections
added, each of which has run one statement. `awake`: replicas that still have timers and messages.
"""

import os
import resource
import threading
import time

from harness.run import check

from driver import metrics
from driver.accounting import cpu_share
from driver.command import numbers
from driver.sides import Orrery, Postgres
from harness import processes

TABLES_A_STATEMENT = 20
MAKERS = 4
CALM_SECONDS = 120  # to wait at most until ranges fall quiet


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
        for side in [Orrery(run, 1)] if run.profiler else [Orrery(run, 1), Postgres(run, 1, more_settings=(
                f"max_connections={max(options.connections) + 100}",))]:
            connections(run, side, document)
    return document


def ranges(run, document):
    os.environ["ORRERY_TABLE_RANGES"] = "own"
    side = Orrery(run, 3, "ranges")
    side.start()
    del os.environ["ORRERY_TABLE_RANGES"]
    made = 0
    for wanted in sorted(run.options.ranges):
        begin = time.monotonic()
        made = make_ranges(side, wanted, made)
        run.wait_until(lambda least=wanted: len(side.cluster.ranges()) >= least, 60 + wanted / 3, f"{wanted} ranges", interval=1)
        count = len(side.cluster.ranges())
        run.say(f"{count} ranges after {time.monotonic() - begin:.0f} s")
        awake = calm(run, side)
        measure(run, side, {"server": side.name, "nodes": 3, "ranges": count, "awake": awake}, document,
                max(processes.shared_once_bytes([pid]) for pid in side.pids()))
    side.stop()


def make_ranges(side, wanted, made):
    """A table is a range of its own here, soon after it is made. Returns how many tables there are now."""
    missing = wanted - len(side.cluster.ranges())
    statements = [";".join(f"CREATE TABLE idle_{k} (id int PRIMARY KEY)" for k in range(first, min(first + TABLES_A_STATEMENT, made + missing)))
                  for first in range(made, made + missing, TABLES_A_STATEMENT)]
    failures = []

    def work():
        try:
            with side.session() as session:
                while statements:
                    session.query(statements.pop())
        except Exception as error:  # told by the thread that waits for this one
            failures.append(error)

    makers = [threading.Thread(target=work, daemon=True) for _ in range(MAKERS)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    check(not failures, f"ranges could not be made: {failures[:1]}")
    return made + max(0, missing)


def calm(run, side):
    """Waits until replicas have stopped falling quiet; returns how many are awake, on all nodes."""
    def awake():
        addresses = [node.http for node in side.cluster.nodes.values()]
        return int(metrics.total(addresses, "orrery_kv_ranges") - metrics.total(addresses, "orrery_kv_quiet_replicas"))

    until, seen = time.monotonic() + CALM_SECONDS, []
    while time.monotonic() < until and not (len(seen) > 5 and min(seen[-5:]) >= min(seen[:-5])):
        seen.append(awake())
        time.sleep(2)
    run.say(f"{seen[-1]} replicas awake after {2 * len(seen)} s")
    return seen[-1]


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


def measure(run, side, row, document, resident):
    title = {key: row[key] for key in ("server", "ranges", "connections") if key in row}
    if run.profiler:
        run.profiler.record(run, side, title, lambda: time.sleep(run.options.seconds))
        return
    row.update({"MB": resident / 1e6, "cpu %": 100 * cpu_share(side.pids(), run.options.seconds)})
    document["results"].append(row)
    run.say(", ".join(f"{key} {value:.1f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))
