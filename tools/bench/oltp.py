#!/usr/bin/python3
"""pgbench on this server and on PostgreSQL 15, in turn, on this machine, with the same durability, both over TCP.

Prints medians, their ratio with the spread over the pairs, latencies, CPU time of all server processes a statement, and log syncs
a transaction. It judges nothing: only numbers of one run may be compared (docs/guide/benchmarks.md).
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "cluster"))
from harness import pgbench, run as run_module  # noqa: E402
from peers import Meter, Orrery, Postgres  # noqa: E402

# Built-in script → statements a transaction, BEGIN and END among them.
WORKLOADS = {"select-only": 1, "simple-update": 5, "tpcb-like": 7}


class BenchRun(run_module.Run):
    """Progress goes to stderr: stdout is for the result."""

    def say(self, text):
        print(f"[{time.monotonic() - self.started:6.1f} s] {text}", file=sys.stderr, flush=True)


def numbers(text):
    return [int(word) for word in text.split(",")]


def names(allowed):
    def parse(text):
        words = text.split(",")
        unknown = [w for w in words if w not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(allowed)}")
        return words
    return parse


def parse_options():
    parser = argparse.ArgumentParser(prog="./dev bench oltp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=numbers, default=[1, 8, 32], metavar="N,…", help="default 1,8,32")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default 5)")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side, A B A B … (default 5)")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="3: against PostgreSQL with two synchronous standbys, ANY 1")
    parser.add_argument("--scale", type=int, default=10, help="pgbench's: 100,000 accounts each (default 10)")
    parser.add_argument("--workloads", type=names(WORKLOADS), default=list(WORKLOADS), help="default: " + ",".join(WORKLOADS))
    parser.add_argument("--modes", type=names(("prepared", "extended", "simple")), default=["prepared"],
                        help="pgbench's query modes (default prepared)")
    parser.add_argument("--noise", action="store_true", help="PostgreSQL on both sides: shows which ratios chance alone makes")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--base-port", type=int, default=21000)
    parser.add_argument("--keep", action="store_true", help="keep the folder with both servers' data and logs")
    options = parser.parse_args()
    options.seed = 0
    return options


def measure(run, side, workload, mode, clients, seconds):
    """One measurement of one side."""
    prefix = run.folder / f"log-{side.name}"
    for old in run.folder.glob(f"log-{side.name}*"):
        old.unlink()
    meter = Meter(side)
    sampling = 0.05 if workload == "select-only" else 0.5  # of transactions whose latency is written down
    report = pgbench.bench(side.port, "-n", "-b", workload, "-M", mode, "-c", clients, "-j", min(clients, 2), "-T", seconds,
                           "-l", "--log-prefix", prefix, "--sampling-rate", sampling, timeout=seconds + 120)
    cpu, syncs = meter.read()
    if not report.clean:
        run.say(f"{side.name}: not clean: {report.errors.strip()[:300]}")
    transactions = max(1.0, report.processed)
    return {"tps": report.tps, "clean": report.clean, "failed": report.failed, "aborted_clients": report.aborted_clients,
            "latency_us": percentiles(run.folder.glob(f"log-{side.name}*")),
            "cpu_us_per_statement": 1e6 * cpu / transactions / WORKLOADS[workload],
            "syncs_per_transaction": None if syncs is None else syncs / transactions}


def percentiles(files):
    values = sorted(int(line.split()[2]) for file in files for line in file.read_text(encoding="ascii").splitlines()
                    if line.split()[2].isdigit())
    if not values:
        return {}
    return {name: values[min(len(values) - 1, int(len(values) * share))] for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}


def median_of(measurements, *path):
    values = []
    for m in measurements:
        for key in path:
            m = m.get(key) if m else None
        if m is not None:
            values.append(m)
    return statistics.median(values) if values else None


def summarise(measurements):
    return {"tps": median_of(measurements, "tps"), "clean": all(m["clean"] for m in measurements),
            "latency_us": {p: median_of(measurements, "latency_us", p) for p in ("p50", "p95", "p99")},
            "cpu_us_per_statement": median_of(measurements, "cpu_us_per_statement"),
            "syncs_per_transaction": median_of(measurements, "syncs_per_transaction"), "runs": measurements}


def compare(run, sides, workload, mode, clients):
    options = run.options
    taken = {side.name: [] for side in sides}
    for side in sides:
        pgbench.bench(side.port, "-n", "-b", workload, "-M", mode, "-c", clients, "-j", min(clients, 2), "-T", 1, timeout=60)
    for _ in range(options.pairs):
        for side in sides:
            taken[side.name].append(measure(run, side, workload, mode, clients, options.seconds))
    ours, theirs = taken["orrerydb"], taken["postgresql"]
    ratios = [a["tps"] / b["tps"] for a, b in zip(ours, theirs) if b["tps"]]
    result = {"workload": workload, "mode": mode, "clients": clients, "orrerydb": summarise(ours), "postgresql": summarise(theirs)}
    result["ratio"] = {"of_medians": result["orrerydb"]["tps"] / result["postgresql"]["tps"] if result["postgresql"]["tps"] else None,
                       "min": min(ratios, default=None), "max": max(ratios, default=None)}
    run.say(f"{workload}, {mode}, {clients} clients: {result['orrerydb']['tps']:.0f} / {result['postgresql']['tps']:.0f} = "
            f"{result['ratio']['of_medians'] or 0:.2f}")
    return result


def show(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def table(document):
    titles = ("workload", "mode", "clients", "ours tps", "pg tps", "ratio", "spread", "ours p50/p99 ms", "pg p50/p99 ms",
              "ours cpu", "pg cpu", "ours syncs", "pg syncs")
    lines = [titles]
    for r in document["results"]:
        a, b = r["orrerydb"], r["postgresql"]
        def milliseconds(side):
            return "/".join(show(None if v is None else v / 1000, 2) for v in (side["latency_us"]["p50"], side["latency_us"]["p99"]))
        lines.append((r["workload"], r["mode"], str(r["clients"]), show(a["tps"]) + ("" if a["clean"] else " !"), show(b["tps"]),
                      show(r["ratio"]["of_medians"], 2), f"{show(r['ratio']['min'], 2)}–{show(r['ratio']['max'], 2)}",
                      milliseconds(a), milliseconds(b), show(a["cpu_us_per_statement"], 1), show(b["cpu_us_per_statement"], 1),
                      show(a["syncs_per_transaction"], 2), show(b["syncs_per_transaction"], 2)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(titles))]
    text = "\n".join("  ".join(cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))) for line in lines)
    notes = ["", "tps: medians; ratio: ours / PostgreSQL's, spread over the pairs; cpu: µs of all server processes a statement; "
             "syncs: of the log, a transaction."]
    if any(not r["orrerydb"]["clean"] for r in document["results"]):
        notes.append("!: transactions failed or clients gave up; the number means little.")
    if document["noise"]:
        notes.append("Both sides are PostgreSQL: any ratio but 1 is chance.")
    for side in ("orrerydb", "postgresql"):
        notes.append(f"{side}: {document[side]['version']}; {document[side]['durability']}")
    return text + "\n" + "\n".join(notes)


def bench(run):
    options = run.options
    ours = Postgres(run, options.nodes, "orrerydb") if options.noise else Orrery(run, options.nodes)
    sides = [ours, Postgres(run, options.nodes)]
    document = {"commit": run_module.git_commit(), "machine": {"cpus": os.cpu_count(), "kernel": platform.release()},
                "nodes": options.nodes, "noise": options.noise, "scale": options.scale, "seconds": options.seconds, "pairs": options.pairs}
    for side in sides:
        side.start()
        document[side.name] = {"version": side.version(), "durability": side.durability()}
        begin = time.monotonic()
        pgbench.initialise(run, side.port, options.scale, 60 + 120 * options.scale)
        document[side.name]["initialise_seconds"] = round(time.monotonic() - begin, 2)
        run.say(f"{side.name}: pgbench -i -s {options.scale} took {document[side.name]['initialise_seconds']:.1f} s")
    cells = [(w, m, c) for w in options.workloads for m in options.modes for c in options.clients]
    run.say(f"{len(cells)} comparisons, about {len(cells) * (2 * options.pairs * (options.seconds + 1) + 3) / 60:.0f} minutes")
    document["results"] = [compare(run, sides, *cell) for cell in cells]
    for side in sides:
        side.stop()
    return document


def main():
    options = parse_options()
    run = BenchRun("bench", options)
    document = None
    try:
        document = bench(run)
    except run_module.Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
    finally:
        run.finish(document is not None)
    if document is None:
        return 1
    print(json.dumps(document, indent=2) if options.format == "json" else table(document))
    return 0


sys.exit(main())
