"""Secrets in the files given, or else in all that git has or would take: what the hook and CI run.

detect-secrets decides, and sends nothing anywhere. It skips ``*.lock`` by itself: their hashes look
like keys. What is no secret gets ``# pragma: allowlist secret`` on its line; where no comment can
stand, ``uv run detect-secrets scan > .secrets.baseline`` records it.
"""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from .lineage import git

BASELINE = Path(".secrets.baseline")
PICTURE = re.compile(r'^\s*"image/')  # of a cell's output: long, and random to a scanner


def scan(paths: Iterable[Path]) -> list[str]:
    """Return each secret as ``file:line: kind``."""
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    known = SecretsCollection()
    if BASELINE.is_file():
        known = SecretsCollection.load_from_baseline(json.loads(BASELINE.read_text("utf-8")))
    with default_settings(), TemporaryDirectory() as folder:
        files, notebooks = SecretsCollection(), SecretsCollection(root=folder)
        for path in paths:
            if path.suffix == ".ipynb":
                copy = Path(folder) / path
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(shown(path.read_text("utf-8")), "utf-8")
                notebooks.scan_file(str(path))
            elif path != BASELINE:
                files.scan_file(str(path))
    found = [*(files - known), *(notebooks - known)]
    return sorted(f"{name}:{secret.line_number}: {secret.type}" for name, secret in found)


def shown(notebook: str) -> str:
    """Return a notebook's text with its lines as a reader sees them: escapes hide secrets."""
    lines = ("" if PICTURE.match(line) else line for line in notebook.split("\n"))
    return "\n".join(lines).replace('\\"', '"').replace("\\n", " ")


def tracked() -> list[Path]:
    """Return the files that git has, or would take by ``git add --all``."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return [path for path in map(Path, filter(None, names)) if path.is_file()]


def main() -> None:
    """Print what is found; leave with 1 if anything is."""
    found = scan([Path(name) for name in sys.argv[1:]] or tracked())
    print("\n".join(found or ["No secrets."]))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
