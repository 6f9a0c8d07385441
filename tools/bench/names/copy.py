"""COPY of pgbench's accounts into this server and into PostgreSQL 15 and out again, in turn, with the same durability, both over TCP.

in        into an empty table with its primary key
in-new    as pgbench -i does: a table without key, emptied in the transaction of the COPY; then ALTER TABLE … ADD PRIMARY KEY
out       COPY TO STDOUT of the whole table

The client is psql, on both sides. CPU time counts until the servers have done what a load leaves them to do (compactions,
checkpoints, vacuum), for at most half a minute; the rate is what the client saw.
"""

import subprocess
import time

from harness import pgbench
from harness.run import Failure

from driver import pairs
from driver.accounting import Sample
from driver.command import add_pair_options, names
from driver.loads import Load

WAYS = ("in", "in-new", "out")
COLUMNS = "aid int NOT NULL, bid int, abalance int, filler char(84)"


def add_options(parser):
    parser.add_argument("--rows", type=int, default=1_000_000, help="default 1,000,000")
    parser.add_argument("--ways", type=names(WAYS), default=list(WAYS), help="default: " + ",".join(WAYS))
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="3: against PostgreSQL with two synchronous standbys, ANY 1")
    add_pair_options(parser, seconds=None)


def bench(run):
    options = run.options
    with pairs.beside_postgres(run, options.nodes, rows=options.rows, unit="rows/s", work="row", sync_unit="COPY") as (sides, document):
        file = write_rows(run)
        run.say(f"{len(options.ways)} ways, {options.pairs} pairs each, {options.rows:,} rows")
        for way in options.ways:
            pairs.compare(run, sides, document, {"COPY": way}, Copy(run, way, file))
    return document


def write_rows(run):
    """pgbench's rows: 100,000 accounts a branch, the filler blank."""
    path = run.folder / "accounts.copy"
    with open(path, "w", encoding="ascii") as file:
        file.writelines(f"{aid}\t{(aid - 1) // 100_000 + 1}\t0\t{'':84}\n" for aid in range(1, run.options.rows + 1))
    return path


class Copy(Load):
    """One COPY a run, however long it takes."""

    settles = True

    def __init__(self, run, way, file):
        self.run_, self.way, self.file = run, way, file

    def warm(self, side):
        if self.way == "out":
            with side.session() as session:
                if session.value("SELECT to_regclass('copied') IS NULL") == "f" and \
                        session.value("SELECT count(*) FROM copied") == str(self.run_.options.rows):
                    return
            Copy(self.run_, "in", self.file).run(side, 0)

    def run(self, side, seconds):
        del seconds
        if self.way == "out":
            took = self._psql(side, f"\\copy copied TO '{self.run_.folder / 'out.copy'}'")
            clean = (self.run_.folder / "out.copy").stat().st_size == self.file.stat().st_size
        else:
            key = "" if self.way == "in-new" else ", PRIMARY KEY (aid)"
            self._psql(side, "DROP TABLE IF EXISTS copied", f"CREATE TABLE copied ({COLUMNS}{key})")
            copy = f"\\copy copied FROM '{self.file}'"
            took = self._psql(side, "BEGIN", "TRUNCATE copied", copy, "COMMIT", "ALTER TABLE copied ADD PRIMARY KEY (aid)") \
                if self.way == "in-new" else self._psql(side, copy)
            with side.session() as session:
                clean = session.value("SELECT count(*) FROM copied") == str(self.run_.options.rows)
        rows = self.run_.options.rows
        self.run_.say(f"{side.name}: {self.way}: {rows:,} rows in {took:.1f} s" + ("" if clean else ", but not all of them are there"))
        return Sample(rows / took, 1, rows, clean)

    def _psql(self, side, *statements):
        """Runs them one after the other; returns how long that took."""
        words = [f"{pgbench.BIN}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(side.port), "-U", "postgres",
                 "-d", "postgres", *(word for statement in statements for word in ("-c", statement))]
        begin = time.monotonic()
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{side.name}: no end after 600 s: {statements}") from error
        if done.returncode != 0:
            raise Failure(f"{side.name}: {done.stderr.strip()}")
        return time.monotonic() - begin
