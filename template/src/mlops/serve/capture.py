"""Keeps what was asked and answered, off the path of requests: a bounded queue and one writer.

Personal fields are replaced by a fixed word. A keyed hash would keep them countable, but of the
few values that such a field has, it can be undone by whoever gets the key.
"""

import logging
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from ..contract import Contract
from .metrics import Metrics

LIMIT = 16 * 2**20  # characters waiting
PAUSE = 0.1  # seconds between two writes
TRIES = 20  # to begin, a pause between two
STEP = 100  # requests of one statement
MASK = "masked"
# A request is kept as it came and was answered; the view takes it apart when it is read. The key
# is the number of its last record, of all that were ever written: the oldest are found by it.
TABLES = """
CREATE TABLE IF NOT EXISTS request (
    last INTEGER PRIMARY KEY, request_id TEXT, time REAL, caller TEXT, body TEXT, answer TEXT,
    unusual TEXT, environment TEXT, version TEXT
);
CREATE INDEX IF NOT EXISTS request_id ON request (request_id);
CREATE VIEW IF NOT EXISTS prediction AS
SELECT request_id, record.key AS position, time, caller, record.value AS record,
    answer ->> ('$.predictions[' || record.key || ']') AS prediction,
    coalesce(unusual -> record.key, '[]') AS unusual, environment, version
FROM request, json_each(body, '$.records') AS record;
CREATE TABLE IF NOT EXISTS feedback (request_id TEXT, time REAL, version TEXT, outcome REAL);
"""
ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
FEEDBACK = "INSERT INTO feedback VALUES (?, ?, ?, ?)"

Request = tuple[int, tuple[Any, ...]]  # its number of records, its row

log = logging.getLogger(__name__)


def location(deployments: Path, environment: str, version: str) -> Path:
    """Return the file of one version's rows in one environment; its replicas share it."""
    return deployments / environment / f"capture-{version}.db"


class Capture:
    """The rows of one server.

    Args:
        path: the SQLite file; made when there is something to write.
        contract: says which fields are personal.
        environment: where the server runs.
        metrics: counts what is dropped, and how late feedback comes.
        rows: records that are kept, and outcomes; the oldest requests go.
        predictions: whether they are kept, or feedback alone.
    """

    def __init__(
        self,
        path: Path,
        contract: Contract,
        environment: str,
        metrics: Metrics,
        rows: int,
        predictions: bool = True,
    ) -> None:
        self._path, self._metrics, self._rows = path, metrics, rows
        self._origin = (environment, metrics.version)
        self._masks = {field.name: MASK for field in contract.fields if field.personal}
        self._wanted = predictions
        self._requests: list[Request] = []
        self._feedback: list[tuple[str, float, str, float]] = []
        self._size = 0  # characters of both
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._run, name="capture", daemon=True)
        self._writer.start()

    def predicted(
        self,
        request_id: str,
        caller: str | None,
        body: bytes,
        records: list[dict[str, Any]],
        answer: bytes,
        unusual: list[list[str]],
    ) -> None:
        """Queue an answered request, or count its records as dropped."""
        if not self._wanted:
            return
        if self._masks:
            body = to_json({"records": [record | self._masks for record in records]})
        odd = to_json(unusual).decode() if any(unusual) else None
        row = (request_id, time.time(), caller, body.decode(), answer.decode(), odd, *self._origin)
        self._queue(self._requests, (len(records), row), len(body) + len(answer), len(records))

    def happened(self, request_id: str, version: str, outcome: float) -> None:
        """Queue an outcome, or count it as dropped."""
        row = (request_id, time.time(), version, outcome)
        self._queue(self._feedback, row, len(request_id) + len(version), 1)

    def close(self) -> None:
        """Write what waits, and end."""
        self._ended.set()
        self._writer.join()

    def _queue(self, queue: list[Any], row: Any, size: int, rows: int) -> None:
        with self._lock:
            if self._size + size <= LIMIT:
                self._size += size
                queue.append(row)
                return
        self._metrics.drop(rows)

    def _run(self) -> None:
        while not self._ended.wait(PAUSE):
            self._write()
        self._write()
        if self._database:
            self._database.close()

    def _write(self) -> None:
        with self._lock:
            requests, feedback = self._requests, self._feedback
            self._requests, self._feedback, self._size = [], [], 0
        if not requests and not feedback:
            return
        try:
            database = self._database = self._database or self._open()
            with database:
                database.execute("BEGIN IMMEDIATE")  # replicas share the numbers
                self._insert(database, requests)
                database.executemany(FEEDBACK, feedback)
                self._trim(database)
            for request_id, received, _, _ in feedback:
                self._late(database, request_id, received)
        except (OSError, sqlite3.Error) as error:  # a full disk, a folder that is not ours
            rows = sum(count for count, _ in requests) + len(feedback)
            log.warning("%d rows are not captured: %s", rows, error)
            self._metrics.drop(rows)
            if self._database:
                self._database.close()
                self._database = None

    def _insert(self, database: sqlite3.Connection, requests: list[Request]) -> None:
        """Write many rows a statement: for each, the interpreter's lock goes to and fro once."""
        (last,) = database.execute("SELECT coalesce(max(last), 0) FROM request").fetchone()
        for start in range(0, len(requests), STEP):
            values: list[Any] = []
            some = requests[start : start + STEP]
            for count, row in some:
                last += count
                values += last, *row
            rows = ", ".join([ROW] * len(some))
            database.execute(f"INSERT INTO request VALUES {rows}", values)  # noqa: S608

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=5)
        for left in reversed(range(TRIES)):
            try:
                database.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:  # another replica begins: here SQLite does not wait
                if not left:
                    raise
                time.sleep(PAUSE)
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(TABLES)
        return database

    def _trim(self, database: sqlite3.Connection) -> None:
        for table in ("request", "feedback"):
            newest = f"(SELECT max(rowid) FROM {table})"  # noqa: S608 (our own names)
            database.execute(
                f"DELETE FROM {table} WHERE rowid <= {newest} - ?",  # noqa: S608
                (self._rows,),
            )

    def _late(self, database: sqlite3.Connection, request_id: str, received: float) -> None:
        query = "SELECT time FROM request WHERE request_id = ? LIMIT 1"
        if found := database.execute(query, (request_id,)).fetchone():
            self._metrics.lag.add(received - found[0])


def find(path: Path, request_id: str, position: int = 0) -> dict[str, Any] | None:
    """Return one captured row by the name of its columns."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        query = "SELECT * FROM prediction WHERE request_id = ? AND position = ?"
        found = database.execute(query, (request_id, position)).fetchone()
        return dict(found) if found else None
