from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlops.keys import own_key


def test_a_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets/some.key"
    with ThreadPoolExecutor(4) as threads:
        (key,) = set(threads.map(own_key, [path] * 8))
    assert len(bytes.fromhex(key)) == 32
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [file.name for file in path.parent.iterdir()] == ["some.key"]
