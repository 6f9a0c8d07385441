"""sysbench's OLTP scripts on one node and on PostgreSQL 15, in turn, with the same durability, both over TCP.

Tables have no secondary index on either side. Transactions that a server rolls back (40001, 40P01, 23505) sysbench begins anew; the
JSON counts them as `repeated`.
"""

from driver import pairs
from driver.command import add_pair_options, names, numbers
from driver.loads import SYSBENCH, Sysbench


def add_options(parser):
    parser.add_argument("--threads", type=numbers, default=[16], metavar="N,…", help="clients (default 16)")
    parser.add_argument("--workloads", type=names(SYSBENCH), default=list(SYSBENCH), help="default: " + ",".join(SYSBENCH))
    parser.add_argument("--tables", type=int, default=4, help="default 4")
    parser.add_argument("--rows", type=int, default=25_000, help="of each table (default 25,000)")
    add_pair_options(parser)


def bench(run):
    options = run.options
    cells = [(w, t) for w in options.workloads for t in options.threads]
    with pairs.beside_postgres(run, 1, tables=options.tables, rows=options.rows, seconds=options.seconds, unit="tps",
                               work="statement") as (sides, document):
        prepare(run, sides)
        pairs.announce(run, len(cells))
        for workload, threads in cells:
            pairs.compare(run, sides, document, {"workload": workload, "clients": threads},
                          Sysbench(run, workload, threads, options.tables, options.rows))
    return document


def prepare(run, sides):
    options = run.options
    for side in sides:
        Sysbench(run, "point_select", 1, options.tables, options.rows).prepare(side)
        run.say(f"{side.name}: {options.tables} tables of {options.rows:,} rows")
