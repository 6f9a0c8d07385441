"""How long clients wait when the node that leads what they write to dies (kill -9), sleeps (SIGSTOP) or is cut off from all others.

Three nodes, six clients that move money between accounts through the other two. A round's gap is the longest time in which no
client at all succeeded, client gap the longest that any one client waited, both from the fault until the node is back.
Every round ends with the judgement of the cluster tests: nothing acknowledged is lost, no transfer is torn, all nodes agree.
The nodes have network namespaces of their own. A fault lasts at least --fault-seconds.
"""

import statistics

from harness import faults, netns

from driver.command import names

FAULTS = {"kill": faults.Kill, "stop": faults.Stop, "isolate": faults.Isolation}
GOALS = {"kill": 3.0, "stop": 4.0, "isolate": 4.0}  # seconds, of every round


def add_options(parser):
    parser.add_argument("--rounds", type=int, default=20, help="of each fault (default 20)")
    parser.add_argument("--faults", type=names(tuple(FAULTS)), default=list(FAULTS), help="default: " + ",".join(FAULTS))
    parser.add_argument("--fault-seconds", type=float, default=3.0, help="how long a fault lasts at least (default 3)")


def prepare_process(_):
    netns.enter()


def bench(run):
    options = run.options
    cluster = netns.Cluster(run)
    run.say(f"three nodes ready after {cluster.up():.1f} s; {options.rounds} rounds of {len(options.faults)} faults, "
            f"about {max(1, round(options.rounds * len(options.faults) * (options.fault_seconds + 6) / 60))} minutes")
    document = {"nodes": 3, "rounds": options.rounds, "results": [], "notes": [
        "seconds; gap: no client at all succeeded; client gap: the longest wait of one client; unknown: operations whose outcome clients were not told."],
        "columns": ["fault", "rounds", "gap median", "gap max", "client gap median", "client gap max", "goal", "over goal", "unknown"]}
    for word in options.faults:
        rounds = []
        for number in range(1, options.rounds + 1):
            rounds.append(faults.one_round(run, cluster, number, FAULTS[word], options.fault_seconds))
            run.say("{fault} {round}: node {node}, gap {gap_seconds:.2f} s (began {gap_began_seconds:+.2f}), one client's {client_gap_seconds:.2f} s; "
                    "{acknowledged} acknowledged, {unknown} unknown, {refused} refused; {rows} rows as they should be".format(**rounds[-1]))
        document["results"].append(summary(word, rounds))
    cluster.down()
    return document


def summary(word, rounds):
    gaps, each = [r["gap_seconds"] for r in rounds], [r["client_gap_seconds"] for r in rounds]
    return {"fault": FAULTS[word].name, "rounds": len(rounds), "gap median": statistics.median(gaps), "gap max": max(gaps),
            "client gap median": statistics.median(each), "client gap max": max(each), "goal": GOALS[word],
            "over goal": sum(gap > GOALS[word] for gap in gaps), "unknown": sum(r["unknown"] for r in rounds), "each": rounds}
