#!/usr/bin/python3
"""What must keep a node from starting: a foreign folder, another cluster's store, a store or a port in use, a store that lost
what was synced. It says why."""

import shutil
import socket
import subprocess

from harness import run as run_module, servers
from harness.run import check

REFUSAL_SECONDS = 20


def refuses(run, store, base, join, words, what):
    """Starts dbserver by hand; it must end with a failure and name each of `words` on stderr."""
    command = [str(run.bin / "dbserver"), "start", "--store", str(store), "--sql-addr", f"127.0.0.1:{base}", "--rpc-addr",
               f"127.0.0.1:{base + 100}", "--http-addr", f"127.0.0.1:{base + 200}", *(["--join", join] if join else [])]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=REFUSAL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise run_module.Failure(f"{what}: the node is still there after {REFUSAL_SECONDS} s\n{error.stdout}\n{error.stderr}") from error
    check(done.returncode not in (0, None) and done.returncode > 0, f"{what}: exit status {done.returncode}\n{done.stderr}")
    for word in words:
        check(word in done.stderr, f"{what}: the message does not name {word!r}:\n{done.stderr[-1500:]}")
    run.say(f"{what}: {[line for line in done.stderr.splitlines() if line.startswith(('dbserver:', 'hint:'))]}")


def test(run):
    foreign = run.folder / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work", encoding="utf-8")
    base = run.free_port_block()
    refuses(run, foreign, base, "", [str(foreign)], "a folder of somebody else's")
    check([f.name for f in foreign.iterdir()] == ["thesis.txt"], f"the foreign folder was touched: {list(foreign.iterdir())}")

    file = run.folder / "file"
    file.write_text("not a folder", encoding="utf-8")
    refuses(run, file, base, "", [str(file)], "a file in place of a folder")

    one = servers.Cluster(run, 1, "one")
    one.up()
    with one.session(1) as session:
        session.query("CREATE TABLE t (id int PRIMARY KEY)")
        session.query("INSERT INTO t VALUES (1)")
    base = run.free_port_block()
    refuses(run, one.store(1), base, "", [str(one.store(1))], "a store in use")

    for step, name in ((0, "SQL"), (100, "node-to-node"), (200, "HTTP")):
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", base + step))
            taken.listen()
            refuses(run, run.folder / f"fresh{step}", base, "", [str(base + step)], f"the {name} port in use")

    two = servers.Cluster(run, 1, "two")
    two.up()
    one.down()
    refuses(run, one.store(1), run.free_port_block(), two.rpc_address(1), ["cluster"], "a store of another cluster")
    one.up()
    with one.session(1) as session:
        check(session.value("SELECT count(*) FROM t") == "1", "the store lost its row by all this")
    check(two.healthy(1), "the other cluster suffered")
    two.down()

    # The engine's files of an earlier moment under the witness of a later one: what a disk leaves that confirmed writes it
    # had not made (B58).
    one.down()
    earlier = run.folder / "earlier"
    shutil.copytree(one.store(1) / "engine", earlier)
    one.up()
    with one.session(1) as session:
        session.query("INSERT INTO t SELECT * FROM generate_series(2, 500)")
    one.down()
    later = run.folder / "later"
    (one.store(1) / "engine").rename(later)
    shutil.copytree(earlier, one.store(1) / "engine")
    refuses(run, one.store(1), run.free_port_block(), "", ["lost data", "synced"], "a store that lost synced data")
    shutil.rmtree(one.store(1) / "engine")
    later.rename(one.store(1) / "engine")
    one.up()
    with one.session(1) as session:
        check(session.value("SELECT count(*) FROM t") == "500", "the rows are not there again with the store's real files")
    one.down()


run_module.main(test, "bad_folders", deadline=120)
