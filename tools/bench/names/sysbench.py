"""sysbench's OLTP scripts on one node and on PostgreSQL 15, in turn, with the same durability, both over TCP.

Tables have no secondary index on either side. Transactions that a server rolls back (40001, 40P01, 23505) sysbench begins anew; the
JSON counts them as `repeated`.
"""

from driver import pairs
from driver.command import add_pair_options, names, numbers
from driver.loads import SYSBENCH, Sysbench
from driver.sides import Orrery, Postgres


def add_options(parser):
    parser.add_argument("--threads", type=numbers, default=[16], metavar="N,…", help="clients (default 16)")
    parser.add_argument("--workloads", type=names(SYSBENCH), default=list(SYSBENCH), help="default: " + ",".join(SYSBENCH))
    parser.add_argument("--tables", type=int, default=4, help="default 4")
    parser.add_argument("--rows", type=int, default=25_000, help="of each table (default 25,000)")
    add_pair_options(parser)


def bench(run):
    options = run.options
    ours = Postgres(run, 1, "orrerydb") if options.noise else Orrery(run, 1)
    document = {"nodes": 1, "noise": options.noise, "tables": options.tables, "rows": options.rows, "seconds": options.seconds,
                "pairs": options.pairs, "unit": "tps", "work": "statement", "results": []}
    sides = pairs.start(run, [ours, Postgres(run, 1)], document)
    for side in sides:
        Sysbench(run, "point_select", 1, options.tables, options.rows).prepare(side)
        run.say(f"{side.name}: {options.tables} tables of {options.rows:,} rows")
    cells = [(w, t) for w in options.workloads for t in options.threads]
    pairs.announce(run, len(cells))
    for workload, threads in cells:
        document["results"].append(pairs.compare(run, sides, {"workload": workload, "clients": threads},
                                                 Sysbench(run, workload, threads, options.tables, options.rows)))
    for side in sides:
        side.stop()
    return document
