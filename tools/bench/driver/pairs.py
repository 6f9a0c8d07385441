"""A B A B …: both sides in turn under the same load, so that what else the machine does meets both alike."""

import contextlib
import time

from . import accounting, durability
from .sides import Orrery, Postgres

SETTLED_SHARE = 0.1  # of a core: what a side may still use when the next measurement begins
SETTLE_SECONDS = 30


@contextlib.contextmanager
def beside_postgres(run, nodes, **facts):
    """Starts this server and PostgreSQL with so many nodes each, or PostgreSQL twice for --noise. Yields (sides, document); the facts
    are the document's first lines: `unit` of the rate, `work` that CPU time is divided by, `sync_unit` that syncs are."""
    ours = Postgres(run, nodes, "orrerydb") if run.options.noise else Orrery(run, nodes)
    with beside(run, [ours, Postgres(run, nodes)], nodes=nodes, noise=run.options.noise, **facts) as started:
        yield started


@contextlib.contextmanager
def beside(run, sides, **facts):
    """The same for any two sides, ours first. Shows that both are equally durable before anything is measured; a profile needs ours alone."""
    document = {**facts, "pairs": run.options.pairs, "results": []}
    sides = sides[:1] if run.profiler else sides
    document["sides"] = [side.name for side in sides]
    for side in sides:
        begin = time.monotonic()
        side.start()
        document[side.name] = {"version": side.version(), "durability": side.durability()}
        if not run.profiler:
            document[side.name]["durability_check"] = durability.check_syncs(side)
        run.say(f"{side.name}: ready after {time.monotonic() - begin:.1f} s; {document[side.name]['durability']}")
    yield sides, document
    for side in sides:
        side.stop()


def _measure(run, side, load):
    meter = accounting.Meter(side)
    sample = load.run(side, run.options.seconds)
    if load.settles:
        settle(side)
    cpu, syncs = meter.read()
    return sample.measurement(cpu, syncs)


def settle(side):
    """Waits until the side has done what its load left to do (compactions, checkpoints, vacuum), for as long as that may take."""
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        if accounting.cpu_share(side.pids(), 1) < SETTLED_SHARE:
            return


def compare(run, sides, document, cell, load):
    """One line of the table. `cell`: what is compared, title → value. `load`: see loads.Load."""
    for side in sides:
        load.warm(side)
    title = ", ".join(f"{key} {value}" for key, value in cell.items())
    if run.profiler:
        run.profiler.record(run, sides[0], cell, lambda: load.run(sides[0], run.options.seconds))
        return
    taken = {side.name: [] for side in sides}
    for _ in range(run.options.pairs):
        for side in sides:
            taken[side.name].append(_measure(run, side, load))
    ours, peer = (taken[side.name] for side in sides)
    result = {"cell": cell, **{name: accounting.summarise(measured) for name, measured in taken.items()},
              "ratio": accounting.ratio(ours, peer)}
    document["results"].append(result)
    rates = " / ".join(f"{result[side.name]['rate']:,.0f}" for side in sides)
    run.say(f"{title}: {rates} {document['unit']} = {result['ratio']['of_medians'] or 0:.2f}")


def announce(run, cells):
    """How long it will take, roughly."""
    seconds = cells * (run.options.seconds + 3 if run.profiler else 2 * run.options.pairs * (run.options.seconds + 1) + 3)
    run.say(f"{cells} {'profiles' if run.profiler else 'comparisons'}, about {max(1, round(seconds / 60))} minutes")
