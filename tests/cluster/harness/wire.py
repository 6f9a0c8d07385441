"""A small client of PostgreSQL's protocol, version 3 (https://www.postgresql.org/docs/15/protocol.html).

Own code instead of a driver: the tests must know exactly when bytes left and what came back, and must be able to send
bytes that no driver would. A session is used by one thread at a time. Values are text; NULL is None.
"""

import socket
import struct


class ServerError(Exception):
    """An ErrorResponse. `fields` maps the protocol's field letters to text (C sqlstate, M message, P position, …)."""

    def __init__(self, fields):
        detail = f" ({fields['D']})" if "D" in fields else ""
        super().__init__(f"{fields.get('C', '?????')}: {fields.get('M', '')}{detail}")
        self.fields = fields

    @property
    def sqlstate(self):
        return self.fields.get("C", "")

    @property
    def message(self):
        return self.fields.get("M", "")

    @property
    def position(self):
        return int(self.fields["P"]) if "P" in self.fields else None


class ConnectionLost(Exception):
    """The connection broke, or no answer came in time: what was sent may or may not have happened."""


class NotConnected(Exception):
    """No connection could be made, so nothing was sent."""


class Result:
    def __init__(self):
        self.columns = []
        self.rows = []
        self.tag = ""


def decode_error(body):
    fields = {}
    for part in body.split(b"\0"):
        if part:
            fields[chr(part[0])] = part[1:].decode("utf-8", "replace")
    return ServerError(fields)


def startup_packet(parameters):
    body = struct.pack("!i", 196608)
    for key, value in parameters.items():
        body += key.encode() + b"\0" + value.encode() + b"\0"
    body += b"\0"
    return struct.pack("!i", len(body) + 4) + body


def message(letter, body=b""):
    return letter.encode() + struct.pack("!i", len(body) + 4) + body


class Session:
    """One connection. Raises ServerError (the session goes on), ConnectionLost (it is dead) or NotConnected."""

    def __init__(self, port, host="127.0.0.1", user="postgres", database="postgres", timeout=10.0, options=None):
        self.buffer = bytearray()
        self.transaction_status = "?"
        self.parameters = {}
        self.backend_key = None
        try:
            self.socket = socket.create_connection((host, port), timeout=timeout)
        except OSError as error:
            raise NotConnected(str(error)) from error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.send(startup_packet({"user": user, "database": database, "client_encoding": "UTF8", **(options or {})}))
            self._finish()
        except (ServerError, ConnectionLost) as error:
            self.close()
            # No statement was sent: whatever went wrong, nothing can have happened.
            raise NotConnected(str(error)) from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self, politely=False):
        try:
            if politely:
                self.socket.sendall(message("X"))
            self.socket.close()
        except OSError:
            pass

    # Bytes

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise ConnectionLost(f"sending: {error}") from error

    def receive(self):
        """The next message: (letter, body)."""
        while True:
            if len(self.buffer) >= 5:
                length = struct.unpack_from("!i", self.buffer, 1)[0]
                if len(self.buffer) >= length + 1:
                    letter, body = chr(self.buffer[0]), bytes(self.buffer[5:length + 1])
                    del self.buffer[:length + 1]
                    return letter, body
            try:
                data = self.socket.recv(1 << 16)
            except OSError as error:
                raise ConnectionLost(f"receiving: {error}") from error
            if not data:
                raise ConnectionLost("the server closed the connection")
            self.buffer += data

    def _finish(self, copy_data=None):
        """Reads until ReadyForQuery; returns all results; raises the first error."""
        results, current, error = [], Result(), None
        while True:
            letter, body = self.receive()
            if letter == "T":
                current.columns = _column_names(body)
            elif letter == "D":
                current.rows.append(_row(body))
            elif letter == "C":
                current.tag = body[:-1].decode()
                results.append(current)
                current = Result()
            elif letter == "d":
                current.rows.append(body)
            elif letter == "G":
                for chunk in copy_data or []:
                    self.send(message("d", chunk))
                self.send(message("c"))
            elif letter == "E":
                error = error or decode_error(body)
                if error.fields.get("S") in ("FATAL", "PANIC"):
                    raise error
            elif letter == "Z":
                self.transaction_status = chr(body[0])
                if error:
                    raise error
                return results
            elif letter == "S":
                key, value = body[:-1].split(b"\0")
                self.parameters[key.decode()] = value.decode()
            elif letter == "K":
                self.backend_key = struct.unpack("!ii", body[:8])
            elif letter == "R" and struct.unpack_from("!i", body)[0] != 0:
                raise ConnectionLost("the server asks for a password")

    # Statements

    def query(self, sql):
        """Simple protocol; the last statement's result."""
        self.send(message("Q", sql.encode() + b"\0"))
        results = self._finish()
        return results[-1] if results else Result()

    def rows(self, sql):
        return self.query(sql).rows

    def value(self, sql):
        return self.query(sql).rows[0][0]

    def execute(self, sql, *parameters):
        """Extended protocol, unnamed statement, text format."""
        bind = b"\0\0" + struct.pack("!hh", 0, len(parameters))
        for parameter in parameters:
            if parameter is None:
                bind += struct.pack("!i", -1)
            else:
                text = str(parameter).encode()
                bind += struct.pack("!i", len(text)) + text
        bind += struct.pack("!h", 0)
        self.send(message("P", b"\0" + sql.encode() + b"\0" + struct.pack("!h", 0)) + message("B", bind)
                  + message("D", b"P\0") + message("E", b"\0" + struct.pack("!i", 0)) + message("S"))
        results = self._finish()
        return results[-1] if results else Result()

    def copy_in(self, sql, chunks):
        self.send(message("Q", sql.encode() + b"\0"))
        return self._finish(copy_data=chunks)[-1]


def _column_names(body):
    count, names, at = struct.unpack_from("!h", body)[0], [], 2
    for _ in range(count):
        end = body.index(b"\0", at)
        names.append(body[at:end].decode())
        at = end + 19
    return names


def _row(body):
    count, values, at = struct.unpack_from("!h", body)[0], [], 2
    for _ in range(count):
        length = struct.unpack_from("!i", body, at)[0]
        at += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[at:at + length].decode())
            at += length
    return tuple(values)
