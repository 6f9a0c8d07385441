"""pgbench's scripts on this server and on PostgreSQL 15, in turn, on this machine, with the same durability, both over TCP.

Prints medians, their ratio with the spread over the pairs, latencies, CPU time of all server processes a statement, and log syncs
a transaction. It judges nothing: only numbers of one run may be compared (docs/guide/benchmarks.md).
"""

import time

from harness import pgbench

from driver import pairs
from driver.command import add_pair_options, names, numbers
from driver.loads import PGBENCH_STATEMENTS, Pgbench


def add_options(parser):
    parser.add_argument("--clients", type=numbers, default=[1, 8, 32, 128], metavar="N,…", help="default 1,8,32,128")
    parser.add_argument("--modes", type=names(("prepared", "extended", "simple")), default=["prepared", "simple"],
                        help="pgbench's query modes (default prepared,simple)")
    parser.add_argument("--workloads", type=names(PGBENCH_STATEMENTS), default=list(PGBENCH_STATEMENTS),
                        help="default: " + ",".join(PGBENCH_STATEMENTS))
    parser.add_argument("--scale", type=numbers, default=[10], metavar="S,…", help="pgbench's: 100,000 accounts and one hot branch each (default 10)")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="3: against PostgreSQL with two synchronous standbys, ANY 1")
    add_pair_options(parser)


def initialise(run, sides, scale, document):
    for side in sides:
        begin = time.monotonic()
        pgbench.initialise(run, side.port, scale, 60 + 120 * scale)
        took = document[side.name].setdefault("initialise_seconds", {})[scale] = round(time.monotonic() - begin, 2)
        pairs.settle(side)  # our catalog clears the storages that were replaced, PostgreSQL's autovacuum looks at the tables
        run.say(f"{side.name}: pgbench -i -s {scale} took {took:.1f} s")


def bench(run):
    options = run.options
    cells = [(w, m, c) for w in options.workloads for m in options.modes for c in options.clients]
    with pairs.beside_postgres(run, options.nodes, seconds=options.seconds, unit="tps", work="statement") as (sides, document):
        pairs.announce(run, len(cells) * len(options.scale))
        for scale in options.scale:
            initialise(run, sides, scale, document)
            for workload, mode, clients in cells:
                pairs.compare(run, sides, document, {"workload": workload, "mode": mode, "scale": scale, "clients": clients},
                              Pgbench(run, workload, mode, clients))
    return document
