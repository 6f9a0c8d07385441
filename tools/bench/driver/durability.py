"""Equal durability, shown and not believed: a single client's small transactions must each have cost their syncs."""

from harness import pgbench
from harness.run import check

from . import accounting

TRANSACTIONS = 100
SLACK = 0.9  # background work may share a sync with a transaction now and then


def check_syncs(run, side):
    """With one client no transaction can share a sync with another. Returns what was counted; a Failure if there were too few."""
    with side.session() as session:
        session.query("DROP TABLE IF EXISTS bench_durability")
        session.query("CREATE TABLE bench_durability (id int PRIMARY KEY, v int)")
        session.query("INSERT INTO bench_durability VALUES (1, 0)")
    script = run.folder / "durability.sql"
    script.write_text("UPDATE bench_durability SET v = v + 1 WHERE id = 1;\n", encoding="ascii")
    meter = accounting.Meter(side)
    report = pgbench.bench(side.port, "-n", "-f", script, "-c", 1, "-t", TRANSACTIONS, timeout=120)
    _, syncs = meter.read()
    check(report.processed == TRANSACTIONS and report.clean, f"{side.name}: single updates fail: {report.errors[:500]}")
    with side.session() as session:
        session.query("DROP TABLE bench_durability")
    return judge(side.name, syncs, side.syncs_a_commit)


def judge(name, syncs, wanted):
    check(syncs is not None, f"{name} does not count its syncs: its durability cannot be checked")
    check(syncs >= SLACK * wanted * TRANSACTIONS, f"{name} made {syncs:.0f} syncs for {TRANSACTIONS} transactions of one client, "
                                                  f"{wanted} each are needed: not the same durability")
    return {"transactions": TRANSACTIONS, "syncs": syncs, "wanted_each": wanted}
