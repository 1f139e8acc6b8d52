"""Files in each provider's storage, which of two writers refuses one."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest
from mlops.cloud import open_store
from mlops.cloud.base import CloudError, ConflictError
from mlops.errors import MlopsError
from mlops.release.journal import BusyError
from mlops.release.stored import StoredJournal

from clouds.conftest import ENVIRONMENT

NAME = "deployments/prod/journal.jsonl"


@pytest.fixture
def store(platform: Any) -> Any:
    return open_store(platform.settings(), ENVIRONMENT)


def test_a_file_that_is_not_there_is_none(store: Any) -> None:
    assert store.read(NAME) is None


@pytest.mark.parametrize("content", [b"", b"one\n", bytes(range(256)), "Grüße".encode()])
def test_what_was_written_is_read(store: Any, content: bytes) -> None:
    tag = store.write(NAME, content)
    assert store.read(NAME) == (content, tag)


def test_the_tag_changes_with_the_content(store: Any) -> None:
    tags = [store.write(NAME, content) for content in (b"1", b"2", b"3")]
    assert len(set(tags)) == 3
    assert all(tags)


def test_a_file_is_written_only_if_it_is_as_it_was_read(store: Any) -> None:
    first = store.write(NAME, b"1", "")
    second = store.write(NAME, b"2", first)
    for stale in (first, ""):
        with pytest.raises(ConflictError, match="journal"):
            store.write(NAME, b"3", stale)
    assert store.read(NAME) == (b"2", second)
    assert store.write(NAME, b"3") != second  # without a tag, whatever it was


def test_a_file_that_is_gone_has_no_tag_any_more(store: Any) -> None:
    tag = store.write(NAME, b"1")
    store.delete(NAME)
    with pytest.raises(ConflictError):
        store.write(NAME, b"2", tag)
    assert store.read(NAME) is None
    store.write(NAME, b"2", "")


def test_what_is_not_there_can_be_deleted(store: Any) -> None:
    store.write(NAME, b"1")
    store.delete(NAME)
    store.delete(NAME)
    assert store.read(NAME) is None


def test_names_with_a_common_beginning_are_files_of_their_own(store: Any) -> None:
    for name in ("jobs/a", "jobs/ab", "jobs/a.b", "jobs/a-b"):
        store.write(name, name.encode())
    store.delete("jobs/a")
    assert store.read("jobs/a") is None
    for name in ("jobs/ab", "jobs/a.b", "jobs/a-b"):
        assert store.read(name)[0] == name.encode()


def test_of_many_writers_each_time_one_is_taken(platform: Any, store: Any) -> None:
    store.write(NAME, b"0", "")

    def count() -> None:
        mine = open_store(platform.settings(), ENVIRONMENT)
        for _ in range(5):
            while True:
                content, tag = mine.read(NAME)
                try:
                    mine.write(NAME, b"%d" % (int(content) + 1), tag)
                    break
                except ConflictError:
                    continue

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read(NAME)[0] == b"15"


def test_a_large_file_comes_back_to_the_byte(store: Any, tmp_path: Path) -> None:
    block = hashlib.sha256(b"seed").digest() * 1024
    (tmp_path / "large").write_bytes(block * 640)  # 20 MiB: more than one part
    uri = store.upload(tmp_path / "large", "jobs/large")
    assert "jobs/large" in uri
    assert "://" in uri
    store.download("jobs/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()


def test_a_large_file_that_is_not_there_is_named(store: Any, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="jobs/none"):
        store.download("jobs/none", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_journal_is_kept_there_and_one_controller_writes_it(store: Any) -> None:
    one, other = (StoredJournal(Path("deployments/prod"), store) for _ in range(2))
    with one.lock():
        one.append(1, "started", version=2)
        with pytest.raises(BusyError, match="under way in prod"), other.lock():
            pass
        one.append(1, "finished", verdict="promoted")
    with other.lock():
        assert [entry.event for entry in other.entries()] == ["started", "finished"]


def test_a_name_that_is_missing_is_named_with_its_file(platform: Any) -> None:
    settings = platform.settings()
    keys = [key for key in settings.cloud if isinstance(settings.cloud[key], str)]
    with pytest.raises(MlopsError, match=r"environments/prod\.yaml: cloud\."):
        open_store(settings.model_copy(update={"cloud": {}}), ENVIRONMENT)
    wrong = {**settings.cloud, f"{keys[0]}x": "1"}
    with pytest.raises(MlopsError, match=f"{keys[0]}x"):
        open_store(settings.model_copy(update={"cloud": wrong}), ENVIRONMENT)
