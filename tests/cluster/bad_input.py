#!/usr/bin/python3
"""Bad input on every port: each gets its clear error or a closed connection; the node lives on and loses nothing.

Every step is followed by a look at the node: the same process, healthy, a statement answered, a row written and found.
"""

import os
import random
import socket
import struct
import threading
import time
import urllib.parse

from harness import processes, run as run_module, servers
from harness.run import check
from harness.wire import ConnectionLost, NotConnected, ServerError, Session, decode_error, message, startup_packet

STATEMENT_BYTES = 200 * 1000 * 1000
RESIDENT_GROWTH_MAX = 900e6  # a statement of 200 MB may be held, twice if need be; a length that is only claimed may not


class Bad:
    def __init__(self, run, server, postgres):
        self.run, self.server, self.postgres = run, server, postgres
        self.random = random.Random(run.seed)
        self.written = 0
        self.pid = server.nodes[1].pid
        self.port = server.nodes[1].port

    # What every step ends with

    def still_well(self, step):
        check(processes.alive(self.pid), f"{step}: the node died; the end of its log:\n{self.server.log(1)[-2000:]}")
        self.run.wait_until(lambda: self.server.healthy(1), 10, f"{step}: the node is healthy")
        with Session(self.port, timeout=15) as session:
            self.written += 1
            session.query(f"INSERT INTO kept VALUES ({self.written}, 'after {step}')")
            count = int(session.value("SELECT count(*) FROM kept"))
        check(count == self.written, f"{step}: {count} rows of {self.written} are left")

    def step(self, name, action):
        begin = time.monotonic()
        result = action()
        self.still_well(name)
        self.run.say(f"{name}: {result or 'survived'} ({time.monotonic() - begin:.1f} s)")

    # Bytes

    def throw(self, port, data, wait=0.5):
        """Sends to a fresh connection, returns what came back before it was closed or fell silent."""
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.settimeout(wait)
                try:
                    connection.sendall(data)
                    while len(answer) < 1 << 16:
                        received = connection.recv(1 << 14)
                        if not received:
                            break
                        answer += received
                except OSError:
                    pass
        except OSError as error:
            raise run_module.Failure(f"port {port} takes no connection: {error}") from error
        return answer

    def random_bytes(self, port):
        for length in (1, 3, 4, 8, 64, 1000, 9999, 100_000):
            self.throw(port, self.random.randbytes(length), 0.1)
        for _ in range(30):
            self.throw(port, self.random.randbytes(self.random.randint(1, 300)), 0.02)

    def oversized_startup(self):
        for length in (2**31 - 1, -1, -2**31, 0, 3, 7, 10_001, 0x16030100):
            self.throw(self.port, struct.pack("!i", length) + b"\0" * 64, 0.1)

    def oversized_messages(self):
        """Lengths that lie, in every message type, after a proper start."""
        for letter in "QPBEDSCHXFdcfp?\0":
            for length in (2**31 - 1, 2**30, 3, 0, -1, -2**31):
                session = Session(self.port, timeout=2)
                try:
                    session.send(letter.encode() + struct.pack("!i", length) + b"x" * 32)
                    if length <= 3:
                        session.socket.settimeout(0.3)
                        while True:
                            session.receive()
                except (ConnectionLost, ServerError):
                    pass
                finally:
                    session.close()
        growth = processes.resident_bytes(self.pid) - self.resident
        check(growth < RESIDENT_GROWTH_MAX, f"lengths that were only claimed cost {growth / 1e6:.0f} MB")

    def broken_contents(self):
        """Well-framed messages with nonsense inside: each an ErrorResponse (mostly 08P01), or a closed connection."""
        bodies = [b"", b"\0", b"\xff" * 40, b"a\0SELECT $1\0\x7f\xff", b"\0\0\0\1\0\1\x7f\xff\xff\xff", b"SELECT 1",
                  b"\0nowhere\0\x00\x09\x00\x00", b"\xc3\x28\0", b"S", b"Q\0"]
        for letter in "QPBEDCF":
            for body in bodies:
                session = Session(self.port, timeout=5)
                try:
                    session.send(message(letter, body) + message("S"))
                    session.socket.settimeout(1.0)
                    while session.receive()[0] not in "Z":
                        pass
                except (ConnectionLost, ServerError):
                    pass
                finally:
                    session.close()

    def truncated(self):
        """A message, cut at every length, and then the client is gone."""
        whole = (message("P", b"\0SELECT $1::int\0" + struct.pack("!hi", 1, 23)) + message("B", b"\0\0" + struct.pack("!hhi", 0, 1, 1)
                 + b"7" + struct.pack("!h", 0)) + message("E", b"\0" + struct.pack("!i", 0)) + message("S"))
        start = startup_packet({"user": "postgres", "database": "postgres"})
        for length in range(0, len(start), 3):
            self.throw(self.port, start[:length], 0.005)
        for length in range(0, len(whole)):
            session = Session(self.port, timeout=5)
            session.send(whole[:length])
            session.close()

    def random_messages(self):
        """A fuzzer's way: proper framing, random types and contents, in one session each."""
        for _ in range(60):
            session = Session(self.port, timeout=2)
            try:
                for _ in range(self.random.randint(1, 8)):
                    letter = self.random.choice("QPBEDSCHFdcf")
                    session.send(message(letter, self.random.randbytes(self.random.randint(0, 60))))
                session.send(message("S"))
                session.socket.settimeout(0.05)
                while True:
                    session.receive()
            except (ConnectionLost, ServerError):
                pass
            finally:
                session.close()

    # Statements

    def expect(self, sql, sqlstates, timeout=60):
        with Session(self.port, timeout=timeout) as session:
            try:
                session.query(sql)
            except ServerError as error:
                check(error.sqlstate in sqlstates, f"{sql[:80]!r}: {error}, not one of {sqlstates}")
                if error.fields.get("S") == "ERROR":
                    check(session.value("SELECT 1") == "1", "the session does not go on after its error")
                return error
        raise run_module.Failure(f"{sql[:80]!r}: no error, one of {sqlstates} is expected")

    def nested(self):
        error = None
        for opening, closing in (("(", ")"), ("NOT (", ")"), ("- (", ")"), ("(SELECT (", "))")):
            sql = "SELECT " + opening * 100_000 + "1" + closing * 100_000
            error = self.expect(sql, ("54001", "54000", "53200", "42601"))  # PostgreSQL: 42601, memory exhausted
        self.expect("SELECT " + "(" * 100_000, ("54001", "54000", "42601", "53200"))
        self.expect("SELECT 1" + " + 1" * 200_000, ("54001", "54000", "53200")) if not self.postgres else None
        return error.message

    def huge_statement(self):
        """The answer must be readable although the client is still sending."""
        session = Session(self.port, timeout=120)
        body_length = STATEMENT_BYTES + 4 + 1
        answer, failure = [], []

        def read():
            try:
                while True:
                    letter, body = session.receive()
                    if letter == "E":
                        answer.append(decode_error(body))
                    if letter in "EZ":
                        return
            except ConnectionLost as error:
                failure.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            session.send(b"Q" + struct.pack("!i", body_length) + b"SELECT '")
            chunk = b"x" * (1 << 20)
            left = STATEMENT_BYTES - 9
            while left > 0:
                session.send(chunk[:left])
                left -= len(chunk)
            session.send(b"'\0")
        except ConnectionLost:
            pass  # refused before its end: the error must have come
        reader.join(120)
        session.close()
        if self.postgres:
            return None
        check(bool(answer), f"a statement of 200 MB got no error, but {failure or 'an answer'}")
        check(answer[0].sqlstate in ("54000", "53200", "53400", "54001"), f"a statement of 200 MB got {answer[0]}")
        return str(answer[0])

    def unsupported(self):
        """0A000 and the construct's name, so that a reader knows what to change."""
        if self.postgres:
            return None
        told = []
        for sql, name in (("CREATE TRIGGER t BEFORE INSERT ON kept EXECUTE FUNCTION f()", "TRIGGER"),
                          ("LISTEN news", "LISTEN"), ("CREATE EXTENSION hstore", "EXTENSION"),
                          ("CREATE MATERIALIZED VIEW m AS SELECT 1", "MATERIALIZED"),
                          ("CREATE RULE r AS ON INSERT TO kept DO NOTHING", "RULE"),
                          ("SELECT * FROM kept TABLESAMPLE SYSTEM (1)", "TABLESAMPLE")):
            error = self.expect(sql, ("0A000",))
            check(name in error.message.upper(), f"{sql}: the message does not name {name}: {error.message}")
            told.append(error.message)
        return told[0]

    def positions(self):
        for sql, sqlstate, position in (("SELEC 1", "42601", 1), ("SELECT 1 FRM x", "42601", 14), ("SELECT * FROM nowhere", "42P01", 15),
                                        ("SELECT nothing FROM kept", "42703", 8), ("SELECT f(1)", "42883", 8),
                                        ("SELECT 'äö', nothing FROM kept", "42703", 14)):
            error = self.expect(sql, (sqlstate,))
            check(error.position == position, f"{sql!r}: position {error.position}, PostgreSQL says {position} ({error})")

    def vanish_in_copy(self):
        for rows, cut in ((0, b""), (1000, b""), (1000, b"5000\tha")):
            session = Session(self.port, timeout=10)
            session.send(message("Q", b"COPY gone FROM STDIN\0"))
            letter = None
            while letter != "G":
                letter, _ = session.receive()
            session.send(message("d", b"".join(b"%d\tx\n" % (i + rows) for i in range(rows)) + cut))
            # A reset, not a polite end.
            session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            session.close()

        def empty():
            with Session(self.port, timeout=20) as session:
                return session.value("SELECT count(*) FROM gone") == "0"
        self.run.wait_until(empty, 15, "rows of a COPY whose client vanished are not there")
        with Session(self.port, timeout=20) as session:  # and hold no locks
            session.copy_in("COPY gone FROM STDIN", [b"1\tx\n", b"1000\ty\n"])
            session.query("DELETE FROM gone")

    def bad_copy(self):
        for data, sqlstate in ((b"1\n", "22P04"), (b"1\tx\ty\n", "22P04"), (b"one\tx\n", "22P02"), (b"1\t\xff\n", "22021")):
            with Session(self.port, timeout=20) as session:
                try:
                    session.copy_in("COPY gone FROM STDIN", [data])
                    raise run_module.Failure(f"COPY took {data!r}")
                except ServerError as error:
                    check(error.sqlstate == sqlstate, f"COPY of {data!r}: {error}, not {sqlstate}")
                check(session.value("SELECT count(*) FROM gone") == "0", "a COPY that failed left rows")

    def half_open_sessions(self):
        """Clients that connect and say nothing, or go in the middle of a result, must not use up the node."""
        silent = [socket.create_connection(("127.0.0.1", self.port), timeout=5) for _ in range(200)]
        self.still_well("200 silent connections")
        for connection in silent:
            connection.close()
        for _ in range(20):
            session = Session(self.port, timeout=5)
            session.send(message("Q", b"SELECT a.id, b.id FROM kept a, kept b, kept c, kept d\0"))
            session.close()

    def http_requests(self, port):
        for request in (b"GET / HTTP/1.1\r\n" + b"X-A: " + b"y" * 200_000 + b"\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
                        b"POST /healthz HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", b"\r\n\r\n\r\n", b"GET\r\n\r\n",
                        b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /healthz HTTP/9.9\r\n\r\n",
                        b"POST /healthz HTTP/1.1\r\nContent-Length: -5\r\n\r\n"):
            answer = self.throw(port, request, 0.5)
            check(b"root:" not in answer, "the status port hands out files of the machine")


def test(run):
    server = servers.make(run, int(os.environ.get("ORRERY_TEST_NODES", "1")))
    postgres = isinstance(server, servers.PostgresServer)
    run.say(f"ready after {server.up():.1f} s")
    bad = Bad(run, server, postgres)
    with server.session(1) as session:
        session.query("CREATE TABLE kept (id int PRIMARY KEY, step text)")
        session.query("CREATE TABLE gone (id int PRIMARY KEY, v text)")
    bad.resident = processes.resident_bytes(bad.pid)
    bad.step("random bytes on the SQL port", lambda: bad.random_bytes(bad.port))
    bad.step("start-up packets of wrong lengths", bad.oversized_startup)
    bad.step("messages of wrong lengths", bad.oversized_messages)
    bad.step("messages with nonsense inside", bad.broken_contents)
    bad.step("truncated messages", bad.truncated)
    bad.step("random messages", bad.random_messages)
    if not postgres:
        rpc = int(server.rpc_address(1).rsplit(":", 1)[1])
        http = urllib.parse.urlparse(server.nodes[1].http).port
        bad.step("random bytes on the node-to-node port", lambda: bad.random_bytes(rpc))
        bad.step("long claims on the node-to-node port", lambda: [bad.throw(rpc, struct.pack(f, 2**31 - 1) + b"\1" * 100, 0.1)
                                                                 for f in ("!i", "<i")] and None)
        bad.step("SQL on the node-to-node port", lambda: bad.throw(rpc, startup_packet({"user": "postgres"}), 0.3) and None)
        bad.step("random bytes on the HTTP port", lambda: bad.random_bytes(http))
        bad.step("bad HTTP requests", lambda: bad.http_requests(http))
    bad.step("HTTP on the SQL port", lambda: bad.throw(bad.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0.3) and None)
    bad.step("100,000 nested parentheses", bad.nested)
    bad.step("a statement of 200 MB", bad.huge_statement)
    bad.step("unsupported SQL", bad.unsupported)
    bad.step("positions of errors", bad.positions)
    bad.step("clients that vanish in a COPY", bad.vanish_in_copy)
    bad.step("bad COPY data", bad.bad_copy)
    bad.step("silent and vanishing clients", bad.half_open_sessions)
    growth = processes.resident_bytes(bad.pid) - bad.resident
    run.say(f"resident memory: {growth / 1e6:+.0f} MB since the start")
    check(growth < RESIDENT_GROWTH_MAX, f"bad input cost {growth / 1e6:.0f} MB for good")
    if not postgres:
        server.kill(1)
        server.up()
        bad.pid = server.nodes[1].pid
        bad.still_well("a kill -9 after all that")
    server.down()


run_module.main(test, "bad_input", deadline=240)
