"""One generated repository: its answers, and the tree of what is committed."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from factory.errors import RefusedError
from factory.fleet import ANSWERS, Member
from factory.git import Entry, Git, GitError, entries
from factory.template import is_url, mirror

_LARGEST = 100_000  # bytes of an answers file


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a kilobyte of them can stand for a gigabyte."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias, which no answers file has")
        return super().compose_node(parent, index)


@dataclass(frozen=True)
class Repository:
    """A project in a git repository.

    Attributes:
        member: Its row in the fleet.
        git: git in the repository.
        commit: The commit that is looked at.
        subfolder: Where in the repository the project lies: "" or "folder/".
        bare: It has no working tree.
    """

    member: Member
    git: Git
    commit: str
    subfolder: str
    bare: bool

    @classmethod
    def open(cls, member: Member) -> "Repository":
        """Open a repository by path, or bring its mirror up to date by URL.

        Raises:
            RefusedError: It is not there, no git repository, or without a commit.
        """
        try:
            if is_url(member.source):
                git, inner, bare = Git(mirror(member.source)), member.subfolder, True
            else:
                git, inner, bare = _local(member)
        except GitError as error:
            raise RefusedError(f"{member.source}: {error}") from error
        ref = f"refs/heads/{member.branch}" if member.branch else "HEAD"
        said = git.attempt("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        if said.returncode:
            raise RefusedError(f"{member.source}: no commit on {member.branch or 'HEAD'}")
        commit = said.stdout.decode().strip()
        if len(commit) != 40:
            raise RefusedError(f"{member.source}: names by SHA-256; the template's are by SHA-1")
        subfolder = "" if inner in (".", "") else f"{inner.strip('/')}/"
        return cls(member, git, commit, subfolder, bare)

    @property
    def tree(self) -> str:
        """What names the project's tree to git."""
        return f"{self.commit}:{self.subfolder}"

    @cached_property
    def objects(self) -> Path:
        """Where git keeps the objects; a linked working tree shares them."""
        said = self.git.text("rev-parse", "--path-format=absolute", "--git-path", "objects")
        return Path(said)

    @cached_property
    def files(self) -> dict[str, Entry]:
        """Every committed file of the project by its path."""
        try:
            return entries(self.git, self.tree)
        except GitError as error:
            raise RefusedError(f"{self.member.name}: no folder {self.subfolder}") from error

    @cached_property
    def answers(self) -> dict[str, Any]:
        """What the answers file records, ``_commit`` and ``_src_path`` too.

        Raises:
            RefusedError: There is none, or it can't be read.
        """
        mode, name = self.files.get(ANSWERS, ("", ""))
        if not name:
            raise RefusedError(
                f"{self.member.name}: no {ANSWERS} is committed: no project of a template; "
                "`factory adopt` lays one over it"
            )
        size = int(self.git.text("cat-file", "-s", name))
        if not mode.startswith("100") or size > _LARGEST:
            raise RefusedError(f"{self.member.name}: {ANSWERS} is a link, or larger than 100 kB")
        try:
            answers = yaml.load(self.git.blobs([name])[name].decode(), _Plain)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise RefusedError(
                f"{self.member.name}: {ANSWERS} can't be read ({' '.join(str(error).split())}); "
                "take it from the last commit in which it could"
            ) from error
        if not isinstance(answers, dict) or not isinstance(answers.get("_commit"), str):
            raise RefusedError(
                f"{self.member.name}: {ANSWERS} has no _commit: the version is not known; "
                "write the version that the project was made with there"
            )
        return answers

    @property
    def version(self) -> str:
        """The version that the answers file records."""
        return str(self.answers["_commit"])


def _local(member: Member) -> tuple[Git, str, bool]:
    """Return git at the top of a repository, where the project is in it, and if it is bare."""
    folder = Path(member.source).expanduser()
    if not folder.is_dir():
        raise RefusedError(f"{folder}: no such folder")
    asked = ("rev-parse", "--is-bare-repository", "--show-cdup", "--show-prefix")
    said = os.fsdecode(Git(folder)(*asked)).removesuffix("\n").split("\n", 2)
    if said[0] == "true":
        return Git(folder), member.subfolder, True
    up, prefix = said[1:]
    top = (folder / up).resolve()
    # `core.worktree` can name any folder.
    if not folder.resolve().is_relative_to(top) or not (top / ".git").exists():
        raise RefusedError(f"{folder}: its git works on {top}, which is another folder")
    return Git(top), str(PurePosixPath(prefix) / member.subfolder), False
