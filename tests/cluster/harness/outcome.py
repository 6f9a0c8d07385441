"""What a client may conclude from how an operation ended (rule H1 of docs/design/correctness.md).

ok    it happened
fail  the server proved that it did not happen
info  nobody knows: it may have happened, and it may still happen
"""

from .wire import ConnectionLost, NotConnected, ServerError

OK, FAIL, INFO = "ok", "fail", "info"

# Classes of SQLSTATE that are raised before anything is committed, in any phase: the statement is refused.
_REFUSED_CLASSES = {
    "0A",  # not supported
    "21",  # cardinality
    "22",  # data
    "23",  # integrity constraint; all of ours are checked before the commit
    "25",  # invalid transaction state, among them 25P02
    "26", "34", "3B", "3D", "3F",  # unknown statement, cursor, savepoint, database, schema
    "28",  # authorisation
    "2D",
    "42",  # syntax, names, privileges
    "53",  # resources; but see the exceptions
    "54",  # limits
    "55",  # object not in the needed state, lock not available
}
_REFUSED = {"40001", "40P01", "57P03"}
# 53100: a full disk may be met while the commit is on its way to disk, on one replica of several.
_UNKNOWN = {"53100", "53200"}


def of_sqlstate(sqlstate, commit_sent):
    """`commit_sent`: the statement that failed was COMMIT, or ran outside a transaction block."""
    if not commit_sent:
        return FAIL  # a block whose COMMIT was never sent cannot commit
    if sqlstate in _UNKNOWN:
        return INFO
    if sqlstate in _REFUSED or sqlstate[:2] in _REFUSED_CLASSES:
        return FAIL
    return INFO  # 40003, 08xxx, 57014, 57P01, 58xxx, XX000 and whatever we do not know


def of_error(error, commit_sent):
    if isinstance(error, NotConnected):
        return FAIL
    if isinstance(error, ServerError):
        return of_sqlstate(error.sqlstate, commit_sent)
    assert isinstance(error, ConnectionLost), error
    return INFO if commit_sent else FAIL
