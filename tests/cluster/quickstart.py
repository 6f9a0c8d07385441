#!/usr/bin/python3
"""docs/guide/quickstart.md as a new user would follow it, with psql; then `dbserver` alone, and `dbserver demo`."""

import os
import re
import signal
import subprocess

from harness import run as run_module, servers
from harness.run import ROOT, check
from harness.wire import ConnectionLost, NotConnected, ServerError, Session

PSQL = "/usr/bin/psql"


def psql(run, url, sql):
    return run.command([PSQL, url, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql], 30).strip()


def guide_sql():
    text = (ROOT / "docs" / "guide" / "quickstart.md").read_text(encoding="utf-8")
    block = re.search(r"```sql\n(.*?)```", text, re.S)[1]
    return [statement.strip() for statement in block.split(";\n") if statement.strip()]


def follow_guide(run):
    cluster = servers.Cluster(run)
    run.say(f"three nodes ready after {cluster.up():.1f} s")
    answer = ""
    for statement in guide_sql():
        answer = psql(run, cluster.nodes[1].url, statement)
    check(answer.split("\n") == ["Jupiter", "Mars"], f"the guide's query answers {answer!r}")
    for node in cluster.nodes.values():
        check(psql(run, node.url, "SELECT count(*) FROM planets") == "3", f"node {node.number} does not show the rows")
        check("OrreryDB" in psql(run, node.url, "SELECT version()"), "version() does not name the product")
        check(cluster.http(node.number, "/readyz")[0] == 200, f"node {node.number} is not ready")
        check("orrery_build_info" in cluster.http(node.number, "/metrics")[1], "no metrics")
    cluster.kill(1)
    check(psql(run, cluster.nodes[2].url, "SELECT count(*) FROM planets") == "3", "rows are gone with node 1")
    before = {n: node.pid for n, node in cluster.nodes.items()}
    cluster.up()
    changed = [n for n, node in cluster.nodes.items() if node.pid != before[n]]
    check(changed == [1], f"./dev up started nodes {changed} and should have started node 1 alone")
    cluster.wait_whole(30)
    cluster.down()
    check(not any(cluster.alive(n) for n in cluster.nodes), "./dev down left a node")
    cluster.up()
    check(psql(run, cluster.nodes[3].url, "SELECT count(*) FROM planets") == "3", "./dev down lost the data")
    cluster.down()
    run.say("the guide holds")


def by_hand(run, words, port, what):
    """Starts a program that serves until a signal; checks that it answers, says how to connect, and ends well."""
    env = {**os.environ, "ORRERY_SQL_ADDR": f"127.0.0.1:{port}", "ORRERY_RPC_ADDR": f"127.0.0.1:{port + 100}",
           "ORRERY_HTTP_ADDR": f"127.0.0.1:{port + 200}"}
    folder = run.folder / what
    folder.mkdir()
    with open(folder / "out", "w+", encoding="utf-8") as out:
        process = subprocess.Popen([str(w) for w in words], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            def answers():
                check(process.poll() is None, f"{what} ended with {process.returncode}:\n{(folder / 'out').read_text()[-2000:]}")
                try:
                    with Session(port, timeout=5) as session:
                        return session.value("SELECT 1 + 1") == "2"
                except (NotConnected, ConnectionLost, ServerError):
                    return False
            run.wait_until(answers, 30, f"{what} answers")
            with Session(port) as session:
                session.query("CREATE TABLE t (id int PRIMARY KEY)")
                session.query("INSERT INTO t VALUES (1)")
            process.send_signal(signal.SIGTERM)
            try:
                status = process.wait(20)
            except subprocess.TimeoutExpired:
                raise run_module.Failure(f"{what} does not end within 20 s of SIGTERM") from None
        finally:
            if process.poll() is None:
                process.kill()
    printed = (folder / "out").read_text(encoding="utf-8")
    check(status == 0, f"{what} ended with status {status}:\n{printed[-2000:]}")
    check(f"postgresql://postgres@127.0.0.1:{port}/postgres" in printed, f"{what} does not say how to connect:\n{printed[:2000]}")
    run.say(f"{what}: answers, says how to connect, ends with status 0")


def test(run):
    follow_guide(run)
    port = run.free_port_block()
    by_hand(run, [run.bin / "dbserver"], port, "dbserver alone")
    check((run.folder / "dbserver alone" / "orrery-data").is_dir(), "no data folder beside it")
    port = run.free_port_block()
    by_hand(run, [run.bin / "dbserver", "demo", "--base-port", port], port, "dbserver demo")


run_module.main(test, "quickstart", deadline=180)
