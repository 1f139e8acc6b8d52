import json
import threading
import time
from pathlib import Path

import pytest

from mlops.cloud.base import ConflictError
from mlops.release.journal import BusyError
from mlops.release.stored import StoredJournal


class Files:
    """A store in memory; a file's tag is how often it was written."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, str]] = {}
        self.writes = 0

    def read(self, name: str) -> tuple[bytes, str] | None:
        return self.kept.get(name)

    def write(self, name: str, content: bytes, tag: str | None = None) -> str:
        if tag is not None and tag != self.kept.get(name, (b"", ""))[1]:
            raise ConflictError(name)
        self.writes += 1
        self.kept[name] = (content, str(self.writes))
        return str(self.writes)

    def delete(self, name: str) -> None:
        self.kept.pop(name, None)

    def upload(self, path: Path, name: str) -> str:
        raise NotImplementedError

    def download(self, name: str, path: Path) -> None:
        raise NotImplementedError


@pytest.fixture
def store() -> Files:
    return Files()


def journal(store: Files, held: float = 60.0) -> StoredJournal:
    return StoredJournal(Path("deployments/prod"), store, held)


def test_another_machine_reads_what_one_has_written(store: Files) -> None:
    one = journal(store)
    with one.lock():
        one.append(1, "started", version=3)
        one.append(1, "deployed", slot="green")
    assert [entry.event for entry in journal(store).pending()] == ["started", "deployed"]


def test_two_controllers_are_never_at_work(store: Files) -> None:
    with journal(store).lock(), pytest.raises(BusyError, match=r"way in prod \(process \d+ on"):
        journal(store).lock().__enter__()
    with journal(store).lock():
        pass


def test_one_that_was_killed_is_forgotten(store: Files) -> None:
    gone = json.dumps({"who": "process 7 on old", "until": time.time() - 1}).encode()
    store.write("deployments/prod/lock", gone)
    with journal(store).lock():
        pass


def test_one_that_works_long_stays_the_only_one(store: Files) -> None:
    with journal(store, held=0.4).lock():
        time.sleep(1)
        with pytest.raises(BusyError):
            journal(store).lock().__enter__()


def test_one_that_was_taken_for_dead_writes_nothing(store: Files) -> None:
    stale, other = journal(store, held=0.0), journal(store)
    threads = threading.active_count()
    with stale.lock(), other.lock():
        for step in (lambda: stale.append(1, "started"), stale.hold):
            with pytest.raises(BusyError, match="taken this release over"):
                step()
        other.append(1, "started", version=3)
    assert [entry.data for entry in journal(store).entries()] == [{"version": 3}]
    assert threading.active_count() == threads


def test_an_entry_is_not_written_over_anothers(store: Files) -> None:
    mine = journal(store)
    assert mine.entries() == []
    read = store.read

    def late(name: str) -> tuple[bytes, str] | None:
        found = read(name)
        if name.endswith("journal.jsonl"):
            store.write(name, b"{}\n")
        return found

    store.read = late  # type: ignore[method-assign]
    with pytest.raises(BusyError):
        mine.append(1, "started")


def test_an_operator_on_another_machine_ends_a_release(store: Files) -> None:
    journal(store).ask_abort("it looks odd")
    at_work = journal(store)
    assert at_work.abort_asked() == "it looks odd"
    at_work.abort_heeded()
    assert journal(store).abort_asked() is None
