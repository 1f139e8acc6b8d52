"""Runs git, so that nothing in the repository it works on is run."""

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from factory.errors import FactoryError

# What a repository can have run on the way, and what waits for a person.
_OFF = [
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.quotePath=false"),
    *("-c", "commit.gpgSign=false"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    *("-c", "protocol.ext.allow=never"),
    *("-c", "submodule.recurse=false"),
]
# What names another repository, as inside a hook; from `git rev-parse --local-env-vars`.
_LOCAL = {
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_NAMESPACE"),
    *("GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE", "GIT_IMPLICIT_WORK_TREE"),
}
_PLAIN = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",  # to look at a repository changes nothing in it
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
_OLDEST = (2, 38)


class GitError(FactoryError):
    """A git command failed; the message has what git said."""


class Git:
    """git in one repository: ``folder`` is its working tree or its bare folder.

    Args:
        folder: Where the commands run.
        environment: Variables beside the process's own, e.g. an index of one's own.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        kept = {key: value for key, value in os.environ.items() if key not in _LOCAL}
        self._environment = {**kept, **_PLAIN, **environment}

    def __call__(self, *arguments: str, given: bytes | None = None) -> bytes:
        """Return what a command prints; raise `GitError` if it fails."""
        done = self.attempt(*arguments, given=given)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            reason = next((line for line in said if line.startswith(("fatal", "error"))), "")
            reason = reason or (said[-1] if said else f"exit code {done.returncode}")
            raise GitError(f"git {arguments[0]} in {self.folder}: {reason}")
        return done.stdout

    def text(self, *arguments: str, given: bytes | None = None) -> str:
        """Return what a command prints, as one stripped text."""
        return self(*arguments, given=given).decode(errors="surrogateescape").strip()

    def attempt(
        self, *arguments: str, given: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command whose failure is an answer."""
        command = ["git", *_OFF, *arguments]
        try:
            return subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment,
                input=given if given is not None else b"",
                capture_output=True,
                check=False,
            )
        except (OSError, ValueError) as error:  # no such folder; a NUL in an argument
            raise GitError(f"git {arguments[0]} in {self.folder}: {error}") from error

    def blobs(self, names: list[str]) -> dict[str, bytes]:
        """Return the contents of objects, in one process.

        Args:
            names: What names an object: a hash, or ``HEAD:path``; absent ones are left out.
        """
        if not names:
            return {}
        given = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
        out = self("cat-file", "--batch", given=given)
        found, at = {}, 0
        for name in names:
            end = out.index(b"\n", at)
            *_, size = out[at:end].split(b" ")
            at = end + 1
            if not size.isdigit():  # "missing", "ambiguous"
                continue
            found[name] = out[at : at + int(size)]
            at += int(size) + 1
        return found

    def sizes(self, names: list[str]) -> dict[str, int]:
        """Return how many bytes objects have, in one process; absent ones are left out."""
        given = "".join(f"{name}\n" for name in names).encode()
        said = self.text("cat-file", "--batch-check=%(objectname) %(objectsize)", given=given)
        rows = (line.split(" ") for line in said.splitlines() if names)
        return {name: int(size) for name, size in rows if size.isdigit()}


Entry = tuple[str, str]
"""A file in a tree: its mode ("100644", "100755", "120000", "160000") and the hash of its blob."""


def entries(git: Git, tree: str) -> dict[str, Entry]:
    """Return every file of a tree by its path."""
    found = {}
    for line in git("ls-tree", "-r", "-z", tree).decode(errors="surrogateescape").split("\0")[:-1]:
        head, path = line.split("\t", 1)
        mode, _, name = head.split(" ")
        found[path] = (mode, name)
    return found


@cache
def require(oldest: tuple[int, int] = _OLDEST) -> None:
    """Refuse a git that can't merge without a working tree.

    Raises:
        FactoryError: git is absent or older than ``oldest``.
    """
    limit = ".".join(map(str, oldest))
    try:
        said = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise FactoryError(f"git is not to be found: install git {limit} or later") from error
    version = re.search(r"(\d+)\.(\d+)\S*", said.stdout)
    if version is None or (int(version[1]), int(version[2])) < oldest:
        have = version[0] if version else said.stdout.strip()
        raise FactoryError(f"git is {have}: merging needs {limit} or later; update git")
