"""Replicated puts of single keys: three nodes of this server and three members of etcd 3.4, in turn, with the same durability.

ours   INSERT … ON CONFLICT DO UPDATE of one row of a table (k bigint PRIMARY KEY, v text), prepared, over PostgreSQL's protocol:
       SQL, a serializable transaction and a consensus round
etcd   KV.Put over gRPC

Both by bench_puts (tools/bench/loader), one put at a time on each connection: one thread, which costs a few µs a put and leaves the processors
to the servers. Keys are random among --keys, the values the same bytes. All clients go to one node, etcd's to its leader, whose followers would
only pass puts on; --spread gives both sides' clients to all nodes. A put is on the disks of two of three nodes before it is acknowledged.
"""

from driver import pairs
from driver.command import add_pair_options, numbers
from driver.etcd import Etcd
from driver.loads import Load, puts
from driver.sides import Orrery


def add_options(parser):
    parser.add_argument("--clients", type=numbers, default=[64], metavar="N,…", help="default 64")
    parser.add_argument("--keys", type=int, default=100_000, help="default 100,000")
    parser.add_argument("--value-bytes", type=int, default=100, help="default 100")
    parser.add_argument("--spread", action="store_true", help="clients go to all nodes in turn")
    add_pair_options(parser)
    parser.set_defaults(noise=False)


def bench(run):
    options = run.options
    with pairs.beside(run, [Orrery(run, 3), Etcd(run, 3)], nodes=3, keys=options.keys, value_bytes=options.value_bytes, spread=options.spread,
                      seconds=options.seconds, unit="puts/s", work="put", sync_unit="put (of all nodes)") as (sides, document):
        with sides[0].session() as session:
            session.query("CREATE TABLE puts (k bigint PRIMARY KEY, v text NOT NULL)")
        pairs.announce(run, len(options.clients))
        for clients in options.clients:
            pairs.compare(run, sides, document, {"clients": clients}, Puts(run, clients))
    return document


class Puts(Load):
    """The same puts to whichever side."""

    def __init__(self, run, clients):
        self.run_, self.clients = run, clients

    def run(self, side, seconds):
        options = self.run_.options
        return puts(self.run_, "etcd" if isinstance(side, Etcd) else "postgresql", side.all_ports if options.spread else [side.port],
                    self.clients, options.keys, seconds=seconds, value_bytes=options.value_bytes)
