"""The three-way merge of a project with two versions of the template.

It is git's own (`git merge-tree --write-tree`): renames are followed, binaries are not touched, and
what was edited here and deleted there is a conflict. Nothing is written to the project.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from factory.git import Entry, Git, GitError
from factory.render import blob

_QUIET = [
    *("-c", "merge.directoryRenames=false"),  # a team's new file stays where the team put it
    *("-c", "merge.renames=true"),
    *("-c", "merge.renameLimit=0"),
    *("-c", "merge.conflictStyle=merge"),
]
_LARGEST = 50_000_000  # bytes of a file that is merged: git holds it in memory


@dataclass(frozen=True)
class Conflict:
    """A place where both changed: ``kind`` is git's name for it, or "in the way"."""

    path: str
    kind: str


@dataclass(frozen=True)
class Stage:
    """What one side has at a path that is in conflict: 1 before, 2 the team's, 3 the template's."""

    mode: str
    name: str
    number: int
    path: str


@dataclass(frozen=True)
class Merged:
    """What a merge gives.

    Attributes:
        tree: The tree of it, with markers where there are conflicts.
        conflicts: What a person has to decide.
        stages: What the index is to hold of the conflicts.
        stays_deleted: Files that the team deleted and the template changed.
    """

    tree: str
    conflicts: tuple[Conflict, ...]
    stages: tuple[Stage, ...] = field(repr=False)
    stays_deleted: tuple[str, ...]


class Workshop:
    """A bare repository for a moment, which borrows the objects of others and keeps its own.

    Args:
        objects: The folders of objects it borrows from.
    """

    def __init__(self, objects: Iterable[Path]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="factory-merge-"))
        (self.folder / "refs").mkdir()
        (self.folder / "objects/info").mkdir(parents=True)
        (self.folder / "HEAD").write_text("ref: refs/heads/none\n")
        (self.folder / "config").write_text("[core]\nrepositoryformatversion = 0\nbare = true\n")
        lines = "".join(f"{path.resolve()}\n" for path in objects)
        (self.folder / "objects/info/alternates").write_bytes(os.fsencode(lines))
        self.git = Git(self.folder)

    def __enter__(self) -> "Workshop":
        """Nothing to open: it is there."""
        return self

    def __exit__(self, *_: object) -> None:
        """Throw it away."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def commit(self, **trees: "str | tuple[Mapping[str, Entry], Mapping[str, bytes]]") -> None:
        """Make a branch of each tree, all of them children of the first.

        Args:
            trees: By branch: the name of a tree, or files with those contents that are new.
        """
        stream: list[bytes] = []
        first = next(iter(trees))
        for branch, tree in trees.items():
            stream += [b"commit refs/heads/" + branch.encode()]
            stream += [b"mark :1"] if branch == first else []
            stream += [b"committer factory <factory@localhost> 0 +0000", b"data 0"]
            stream += [b"from :1", b"deleteall"] if branch != first else []
            if isinstance(tree, str):
                stream += [f'M 040000 {tree} ""'.encode()]
            else:
                files, made = tree
                for path, (mode, name) in files.items():
                    given = made.get(name)
                    what = name if given is None else "inline"
                    stream += [f"M {mode} {what} ".encode() + _quoted(path)]
                    if given is not None:
                        stream += [b"data %d\n" % len(given) + given]
            stream += [b""]
        self._import(stream)

    def whole(self, commit: str, folder: str, tree: str) -> str:
        """Return the tree of a commit with another one in place of a folder; "" is all of it."""
        name = self.git.text("rev-parse", tree)
        changes = [b"M 040000 %s " % name.encode() + _quoted(folder.rstrip("/"))]
        return self._changed(f"{commit}^{{tree}}", changes) if folder else name

    def _changed(self, tree: str, changes: list[bytes]) -> str:
        """Return the name of a tree after some commands of `git fast-import`."""
        start = self.git.text("rev-parse", tree)
        head = [b"commit refs/heads/changed", b"committer factory <factory@localhost> 0 +0000"]
        stream = [*head, b"data 0", b"deleteall", b'M 040000 %s ""' % start.encode(), *changes]
        self._import([*stream, b""])
        return self.git.text("rev-parse", "refs/heads/changed^{tree}")

    def _import(self, stream: list[bytes]) -> None:
        given = b"\n".join([*stream, b"done\n"])
        self.git("fast-import", "--quiet", "--force", "--done", given=given)

    def merge(self, ours: str, theirs: str) -> Merged:
        """Merge two branches made by `commit`."""
        done = self.git.attempt(
            *_QUIET, *("merge-tree", "--write-tree", "-z", "--messages", ours, theirs)
        )
        if done.returncode not in (0, 1):
            raise GitError(f"git merge-tree: {done.stderr.decode(errors='replace').strip()}")
        tree, stages, kinds = _parsed(done.stdout.decode(errors="surrogateescape"))
        sides: dict[str, set[int]] = {}
        for stage in stages:
            sides.setdefault(stage.path, set()).add(stage.number)
        # What the team deleted stays deleted, however the template changed it.
        gone = {path for path, numbers in sides.items() if numbers == {1, 3}}
        if gone:
            tree = self._changed(tree, [b"D " + _quoted(path) for path in sorted(gone)])
        left = tuple(stage for stage in stages if stage.path not in gone)
        paths = dict.fromkeys(stage.path for stage in left)
        conflicts = tuple(Conflict(path, kinds.get(path, "content")) for path in paths)
        return Merged(tree, conflicts, left, tuple(sorted(gone)))


def _quoted(path: str) -> bytes:
    raw = path.encode(errors="surrogateescape")
    if not raw.startswith(b'"') and b"\n" not in raw:
        return raw
    escaped = raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'


def _parsed(said: str) -> tuple[str, list[Stage], dict[str, str]]:
    """Return the tree, the stages, and the kind of conflict at each path."""
    tree, _, rest = said.partition("\0")
    listed, _, messages = (
        rest.partition("\0\0") if not rest.startswith("\0") else ("", "", rest[1:])
    )
    stages = []
    for line in filter(None, listed.split("\0")):
        head, path = line.split("\t", 1)
        mode, name, number = head.split(" ")
        stages.append(Stage(mode, name, int(number), path))
    kinds: dict[str, str] = {}
    words = iter(messages.split("\0"))
    for count in words:
        if not count.isdigit():
            break
        paths = [next(words) for _ in range(int(count))]
        kind, _ = next(words), next(words)
        if kind.startswith("CONFLICT"):
            for path in paths:
                kinds.setdefault(path, kind.removeprefix("CONFLICT (").removesuffix(")"))
    return tree, stages, kinds


Side = tuple[dict[str, Entry], dict[str, bytes]]
"""Files of the template, and the contents of those that are not its blobs."""


def prepare(before: Side, after: Side, ours: Mapping[str, Entry], git: Git) -> tuple[Conflict, ...]:
    """Make the template's files ready to be merged with the team's.

    They get the line ends that the team gave to a file: else it would clash in every line. What is
    too large for a merge is left as the team has it, and told.

    Args:
        before: The version that the team started from; changed in place.
        after: The version to come; changed in place.
        ours: The team's files.
        git: Where all of them are to be found.
    """
    paths = [
        path
        for path, (mode, name) in ours.items()
        if mode.startswith("100")
        and path in before[0]
        and path in after[0]
        and len({name, before[0][path][1], after[0][path][1]}) == 3  # both changed it
    ]
    sizes = git.sizes([ours[path][1] for path in paths]) if paths else {}
    large = [path for path in paths if sizes[ours[path][1]] > _LARGEST]
    for path in large:
        before[0][path] = after[0][path] = ours[path]
    _follow_line_ends((before, after), ours, sorted(set(paths) - set(large)), git)
    return tuple(Conflict(path, f"larger than {_LARGEST // 10**6} MB") for path in large)


def _follow_line_ends(
    sides: tuple[Side, Side], ours: Mapping[str, Entry], paths: list[str], git: Git
) -> None:
    names = {files[path][1] for path in paths for files in (ours, sides[0][0], sides[1][0])}
    made = sides[0][1] | sides[1][1]
    texts = git.blobs(sorted(names - made.keys())) | made
    for path in paths:
        ends = _ends(texts[ours[path][1]])
        for files, contents in sides:
            mode, name = files[path]
            if ends and _ends(texts[name]) not in (ends, None):
                content = texts[name].replace(b"\r\n", b"\n").replace(b"\n", ends)
                files[path] = (mode, blob(content))
                contents[blob(content)] = content


def _ends(text: bytes) -> bytes | None:
    """Return the line ends of a text; nothing, if they are mixed or it is no text."""
    crlf, lf = text.count(b"\r\n"), text.count(b"\n")
    if b"\0" in text or not lf or crlf not in (0, lf):
        return None
    return b"\r\n" if crlf else b"\n"
