"""The working tree of a repository: whether it can be worked on, and its move to other files."""

import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from factory.errors import RefusedError
from factory.git import Entry, Git, GitError, entries
from factory.merge import Conflict, Stage, Workshop
from factory.repository import Repository

# While files move, this ref names the commit that they move to; each working tree has its own.
_JOURNAL = "refs/worktree/factory-update"
_PATIENCE = 5.0  # seconds until a lock of git's is taken for one that a killed git left
_UNDERWAY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")


def _directory(git: Git) -> Path:
    return Path(git.text("rev-parse", "--absolute-git-dir"))


def alone(git: Git) -> AbstractContextManager[object]:
    """Hold the repository: one factory at a time."""
    lock = FileLock(_directory(git) / "factory.lock", timeout=0)
    try:
        return lock.acquire()
    except Timeout as error:
        raise RefusedError(
            f"{git.folder}: another update is at work on it; wait for its end"
        ) from error


def ready(repository: Repository) -> None:
    """Refuse what an update could harm."""
    git, name = repository.git, repository.member.name
    if repository.bare:
        raise RefusedError(f"{name} has no working tree: use --pr, which needs none")
    head = git.attempt("symbolic-ref", "--quiet", "HEAD")
    if head.returncode:
        raise RefusedError(
            f"{name}: HEAD is detached, so an update would be on no branch; git switch BRANCH"
        )
    branch = head.stdout.decode().strip().removeprefix("refs/heads/")
    if repository.member.branch not in (None, branch):
        raise RefusedError(
            f"{name} has {branch} checked out, not {repository.member.branch}; git switch it"
        )
    directory = _directory(git)
    underway = [each for each in _UNDERWAY if (directory / each).exists()]
    if underway:
        raise RefusedError(f"{name} is in the middle of something ({underway[0]}): end it first")
    # Here it may note that a copied file is the same, which is what it goes by afterwards.
    status = Git(git.folder, GIT_OPTIONAL_LOCKS="1")(
        *("status", "--porcelain", "-z", "--no-renames"),
        *("--untracked-files=no", "--ignore-submodules=dirty"),
        *("--", repository.subfolder or "."),
    )
    dirty = [line[3:] for line in status.decode(errors="replace").split("\0") if line[3:]]
    if dirty:
        more = f" and {len(dirty) - 3} more" if len(dirty) > 3 else ""
        raise RefusedError(
            f"{name} has changes that are not committed: {', '.join(dirty[:3])}{more}; "
            "commit or stash them"
        )


def commit_of(repository: Repository, workshop: Workshop, tree: str, message: str) -> str:
    """Return a commit of a whole tree on top of the project's, made beside the repository."""
    said = repository.git.attempt("config", "--get-regexp", r"^user\.(name|email)$").stdout
    rows = (line.partition(" ") for line in said.decode(errors="replace").splitlines())
    # A runner has no name.
    person = {"NAME": "factory", "EMAIL": "factory@localhost"}
    person |= {key.removeprefix("user.").upper(): value for key, _, value in rows if value}
    known = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in person.items()
    }
    git = Git(workshop.folder, **{key: os.environ.get(key, known[key]) for key in known})
    return git.text("commit-tree", tree, "-p", repository.commit, "-m", message)


def bring(
    repository: Repository, workshop: Workshop, commit: str, blobs: Iterable[str] = ()
) -> None:
    """Bring a commit that was made beside the repository into it; no branch has it yet.

    By a pack, because `git fetch` asks the repository's own configuration how to go about it.
    """
    names = "".join(f"{name}\n" for name in (commit, f"^{repository.commit}", *blobs))
    pack = workshop.git("pack-objects", "--revs", "--stdout", "--quiet", given=names.encode())
    repository.git("unpack-objects", "-q", given=pack)


def in_the_way(repository: Repository, files: Iterable[str]) -> tuple[Conflict, ...]:
    """Return what lies, ignored or never added, where one of ``files`` is to come."""
    root = repository.git.folder
    found = []
    for path in sorted(set(files) - repository.files.keys()):
        here = PurePosixPath(repository.subfolder, path)
        folders = [root / folder for folder in here.parents][:-1]
        if any(folder.is_symlink() for folder in folders):
            found.append(Conflict(path, "in the way: a link out of the folder above it"))
        elif any(os.path.lexists(folder) and not folder.is_dir() for folder in folders):
            found.append(Conflict(path, "in the way: a file where a folder is needed"))
        elif os.path.lexists(root / here):
            found.append(Conflict(path, "in the way: a file that git does not have"))
    return tuple(found)


def carry_out(
    git: Git, old: str, new: str, commit: bool, stages: Iterable[Stage] = (), subfolder: str = ""
) -> None:
    """Move the working tree and the index from one commit's files to another's.

    A journal goes before it, so that what was broken off in the middle is known and taken back.

    Args:
        commit: The branch moves, too.
        stages: What the index is to hold of conflicts.
    """
    move = ("read-tree", "-m", "-u")
    try:
        git(*move, "--dry-run", old, new)  # what git was told not to see may have been edited
        git("update-ref", _JOURNAL, new)
    except GitError as error:
        raise RefusedError(f"{error}; nothing was changed") from error
    try:
        git(*move, old, new)
    except GitError as error:  # e.g. a full disk
        _take_back(git, old, new)
        raise RefusedError(f"{error}; nothing was changed") from error
    _mark(git, list(stages), subfolder)
    moves = f"update HEAD {new} {old}\n" if commit else ""
    given = f"{moves}delete {_JOURNAL} {new}\n"
    git("update-ref", "-m", "factory update", "--stdin", given=given.encode())


def resume(git: Git) -> None:
    """Take back what another run left half-done when it was killed.

    Raises:
        RefusedError: Somebody edited files since.
    """
    one = ("--no-walk", "--parents", "--min-parents=1", "--max-parents=1")
    said = git.attempt("rev-list", *one, _JOURNAL, "--").stdout.decode().split()
    if not said:
        return
    new, old = said
    if git.text("rev-parse", "HEAD") in (old, new):
        _wait(_directory(git) / "index.lock")
        _take_back(git, old, new)
    else:  # a person went on from there, and what is not committed is seen by `ready`
        git("update-ref", "-d", _JOURNAL)


def _take_back(git: Git, old: str, new: str) -> None:
    edited = _edited(git, old, new)
    if edited:
        raise RefusedError(
            f"{git.folder}: an update was broken off, and since then {', '.join(edited[:3])} was "
            f"edited; commit what is to stay, or `git restore --source {old[:12]}` it; run again"
        )
    git("read-tree", "--reset", new)  # so that what only the new one has is taken away
    git("read-tree", "--reset", "-u", "HEAD")
    git("update-ref", "-d", _JOURNAL)


def _wait(lock: Path) -> None:
    """Wait until nobody holds a lock: git may be at it while the factory was killed."""
    end = time.monotonic() + _PATIENCE
    while lock.exists() and time.monotonic() < end:
        time.sleep(0.05)
    lock.unlink(missing_ok=True)


def _edited(git: Git, old: str, new: str) -> list[str]:
    """Return the files that hold what neither of two commits has."""
    before, after = entries(git, old), entries(git, new)
    there = {path for path in before | after if os.path.lexists(git.folder / path)}
    edited = there - _alike(git, old, before) - _alike(git, new, after)
    names = ("diff-index", "--cached", "--name-only", "--diff-filter=u", "-z")
    staged = [set(os.fsdecode(git(*names, commit)).split("\0")[:-1]) for commit in (old, new)]
    half = {path for path in edited if _half(git, path, after.get(path))}
    return sorted((edited - half) | (staged[0] & staged[1]))


def _alike(git: Git, commit: str, files: Iterable[str]) -> set[str]:
    """Return the files that are in the working tree as in a commit, as git compares them."""
    with tempfile.TemporaryDirectory(prefix="factory-index-") as folder:
        index = Git(git.folder, GIT_INDEX_FILE=str(Path(folder, "index")))
        index("read-tree", commit)
        index.attempt("update-index", "-q", "--refresh")
        unlike = os.fsdecode(index("diff-files", "--name-only", "-z")).split("\0")
    return set(files) - set(unlike)


def _half(git: Git, path: str, entry: Entry | None) -> bool:
    """Tell whether a file is the beginning of what git was writing when it was killed."""
    file = git.folder / path
    if entry is None or file.is_symlink() or not file.is_file():
        return False
    return git.blobs([entry[1]])[entry[1]].startswith(file.read_bytes())


def _mark(git: Git, stages: list[Stage], subfolder: str) -> None:
    """Tell the index of the conflicts, so that nobody commits a marker unknowingly."""
    lines = [f"0 {'0' * 40}\t{subfolder}{path}\0" for path in {stage.path for stage in stages}]
    lines += [f"{s.mode} {s.name} {s.number}\t{subfolder}{s.path}\0" for s in stages]
    if lines:
        git("update-index", "-z", "--index-info", given=os.fsencode("".join(lines)))
