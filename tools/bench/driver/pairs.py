"""A B A B …: both sides in turn under the same load, so that what else the machine does meets both alike."""

import time

from . import accounting, durability


def start(run, sides, document):
    """Starts both sides, writes down what they are, and shows that both are equally durable."""
    sides = sides[:1] if run.profiler else sides
    document["sides"] = [side.name for side in sides]
    for side in sides:
        begin = time.monotonic()
        side.start()
        document[side.name] = {"version": side.version(), "durability": side.durability()}
        if not run.profiler:
            document[side.name]["durability_check"] = durability.check_syncs(run, side)
        run.say(f"{side.name}: ready after {time.monotonic() - begin:.1f} s; {document[side.name]['durability']}")
    return sides


def _measure(run, side, load):
    meter = accounting.Meter(side)
    sample = load.run(side, run.options.seconds)
    cpu, syncs = meter.read()
    return sample.measurement(cpu, syncs)


def compare(run, sides, cell, load):
    """One line of the table. `cell`: what is compared, title → value. `load.run(side, seconds)` → accounting.Sample."""
    for side in sides:
        load.run(side, 1)
    title = ", ".join(f"{key} {value}" for key, value in cell.items())
    if run.profiler:
        run.profiler.record(run, sides[0], cell, lambda: load.run(sides[0], run.options.seconds))
        return {}
    taken = {side.name: [] for side in sides}
    for _ in range(run.options.pairs):
        for side in sides:
            taken[side.name].append(_measure(run, side, load))
    ours, peer = (taken[side.name] for side in sides)
    result = {"cell": cell, **{name: accounting.summarise(measured) for name, measured in taken.items()},
              "ratio": accounting.ratio(ours, peer)}
    run.say(_line(title, result, sides))
    return result


def _line(title, result, sides):
    rates = " / ".join(f"{result[side.name]['rate']:,.0f}" for side in sides)
    return f"{title}: {rates} = {result['ratio']['of_medians'] or 0:.2f}"


def announce(run, cells):
    """How long it will take, roughly."""
    seconds = cells * (run.options.seconds + 3 if run.profiler else 2 * run.options.pairs * (run.options.seconds + 1) + 3)
    run.say(f"{cells} {'profiles' if run.profiler else 'comparisons'}, about {max(1, round(seconds / 60))} minutes")
