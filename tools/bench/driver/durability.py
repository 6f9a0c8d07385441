"""Equal durability, shown and not believed: a single client's small transactions must each have cost their syncs."""

from harness.run import check

from . import accounting

TRANSACTIONS = 100
SLACK = 0.9  # background work may share a sync with a transaction now and then


def check_syncs(side):
    """With one client no transaction can share a sync with another. Returns what was counted; a Failure if there were too few."""
    with side.lone_client() as commit:
        meter = accounting.Meter(side)
        commit(TRANSACTIONS)
        _, syncs = meter.read()
    return judge(side.name, syncs, side.syncs_a_commit)


def judge(name, syncs, wanted):
    check(syncs is not None, f"{name} does not count its syncs: its durability cannot be checked")
    check(syncs >= SLACK * wanted * TRANSACTIONS, f"{name} made {syncs:.0f} syncs for {TRANSACTIONS} transactions of one client, "
                                                  f"{wanted} each are needed: not the same durability")
    return {"transactions": TRANSACTIONS, "syncs": syncs, "wanted_each": wanted}
