"""Keys of this machine's own, where nobody has given one."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path


def own_key(path: Path) -> str:
    """Return the key in ``path``, 64 hexadecimal digits; it is made when first needed.

    Only its owner can read it, and it is whole or not there: of several that make it at once, all
    get the same.
    """
    if not path.is_file():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor, mine = tempfile.mkstemp(dir=path.parent)  # for its owner only
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):
            os.link(mine, path)
        os.unlink(mine)
    return path.read_text(encoding="utf-8")
