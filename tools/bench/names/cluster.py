"""Three nodes beside PostgreSQL 15 with two synchronous standbys (ANY 1): pgbench's scripts and sysbench's write_only.

A commit is on two disks before it is acknowledged, on both sides. Writing clients go to one node, select-only's are spread over
all three. PostgreSQL's go to its primary: a standby may answer with old rows, which no node here does (--peer-reads all spreads them, too).
"""

from driver import pairs
from driver.command import add_pair_options, names, numbers
from driver.loads import PGBENCH_STATEMENTS, Pgbench, Sysbench

from . import oltp, sysbench

WORKLOADS = (*PGBENCH_STATEMENTS, "write_only")


def add_options(parser):
    parser.add_argument("--clients", type=numbers, default=[8, 32], metavar="N,…", help="default 8,32")
    parser.add_argument("--workloads", type=names(WORKLOADS), default=list(WORKLOADS), help="default: " + ",".join(WORKLOADS))
    parser.add_argument("--mode", choices=("prepared", "extended", "simple"), default="prepared", help="pgbench's (default prepared)")
    parser.add_argument("--scale", type=int, default=10, help="pgbench's (default 10)")
    parser.add_argument("--tables", type=int, default=4, help="sysbench's (default 4)")
    parser.add_argument("--rows", type=int, default=25_000, help="of each of sysbench's tables (default 25,000)")
    parser.add_argument("--peer-reads", choices=("primary", "all"), default="primary", help="where select-only goes on PostgreSQL")
    add_pair_options(parser)


def bench(run):
    options = run.options
    with pairs.beside_postgres(run, 3, scale=options.scale, seconds=options.seconds, peer_reads=options.peer_reads, unit="tps",
                               work="statement") as (sides, document):
        if set(options.workloads) & set(PGBENCH_STATEMENTS):
            oltp.initialise(run, sides, options.scale, document)
        if "write_only" in options.workloads:
            sysbench.prepare(run, sides)
        pairs.announce(run, len(options.workloads) * len(options.clients))
        for workload in options.workloads:
            for clients in options.clients:
                pairs.compare(run, sides, document, {"workload": workload, "clients": clients}, load(run, workload, clients))
    return document


def load(run, workload, clients):
    options = run.options
    if workload == "write_only":
        return Sysbench(run, workload, clients, options.tables, options.rows)
    def ports(side):
        if workload != "select-only":
            return [side.port]
        return side.all_ports if options.peer_reads == "all" else side.ports
    return Pgbench(run, workload, options.mode, clients, ports)
