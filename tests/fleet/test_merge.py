"""The merge by itself: what git says of it is read right, whatever the files are called."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from scenario import BINARY, git, isolate, lines

from factory import merge
from factory.git import Entry, Git, entries
from factory.merge import Conflict, Merged, Workshop, prepare
from factory.render import blob

Tree = dict[str, str | bytes]


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """A workshop that borrows from an empty repository."""
    isolate(monkeypatch, tmp_path / "settings")
    git(tmp_path, "init", "--quiet", "--bare", "lent.git")
    with Workshop([tmp_path / "lent.git/objects"]) as made:
        yield made
    assert not made.folder.exists()


def given(tree: Tree) -> tuple[dict[str, Entry], dict[str, bytes]]:
    """Return files and their contents as `Workshop.commit` takes them."""
    contents = {p: c.encode() if isinstance(c, str) else c for p, c in tree.items()}
    files = {path: ("100644", blob(content)) for path, content in contents.items()}
    return files, {blob(content): content for content in contents.values()}


def merged(workshop: Workshop, base: Tree, team: Tree, template: Tree) -> tuple[Merged, Tree]:
    """Merge, and return the files of the result, too."""
    workshop.commit(base=given(base), team=given(team), template=given(template))
    done = workshop.merge("team", "template")
    found = entries(workshop.git, done.tree)
    contents = workshop.git.blobs([name for _, name in found.values()])
    return done, {path: contents[name] for path, (_, name) in found.items()}


def test_clean(workshop: Workshop) -> None:
    done, found = merged(
        workshop,
        {"a": lines("a"), "b": "b\n"},
        {"a": lines("a", n2="mine"), "b": "b\n", "c": "c\n"},
        {"a": lines("a", n18="theirs"), "d": "d\n"},
    )
    assert (done.conflicts, done.stages, done.stays_deleted) == ((), (), ())
    both = lines("a", n2="mine", n18="theirs").encode()
    assert found == {"a": both, "c": b"c\n", "d": b"d\n"}


@pytest.mark.parametrize(
    "path", ["a", "a b", 'a"b', '"a"', "a\nb", "a\tb", "a\\n", "\u00fc", "a\udcff", " "]
)
def test_conflicts_of_each_kind(workshop: Workshop, path: str) -> None:
    base: Tree = {f"{path}{n}": lines(str(n)) for n in range(3)} | {f"{path}3": BINARY}
    team = base | {f"{path}0": lines("0", n2="mine"), f"{path}1": "mine", f"{path}3": BINARY * 2}
    template = base | {f"{path}0": lines("0", n2="new"), f"{path}2": "new", f"{path}3": BINARY * 3}
    del team[f"{path}2"], template[f"{path}1"]
    done, found = merged(workshop, base, team, template)
    kinds = {one.path: one.kind for one in done.conflicts}
    assert kinds == {f"{path}0": "contents", f"{path}1": "modify/delete", f"{path}3": "binary"}
    numbers = sorted((stage.path, stage.number) for stage in done.stages)
    assert numbers == [(f"{path}{n}", m) for n, m in ((0, 1), (0, 2), (0, 3))] + [
        *((f"{path}1", m) for m in (1, 2)),
        *((f"{path}3", m) for m in (1, 2, 3)),
    ]
    assert done.stays_deleted == (f"{path}2",)
    assert found.keys() == {f"{path}{n}" for n in (0, 1, 3)}
    assert found[f"{path}1"] == b"mine"
    assert found[f"{path}3"] == BINARY * 2


def test_a_new_file_of_the_team_stays_where_it_is(workshop: Workshop) -> None:
    """The template renames a folder: that is no reason to move what the team put there."""
    base: Tree = {f"old/{n}": lines(str(n)) for n in range(3)}
    template: Tree = {f"new/{n}": lines(str(n)) for n in range(3)}
    done, found = merged(workshop, base, base | {"old/mine": "mine"}, template)
    assert not done.conflicts
    assert found.keys() == template.keys() | {"old/mine"}


def test_a_persons_settings_are_not_asked(workshop: Workshop, tmp_path: Path) -> None:
    settings = tmp_path / "settings/gitconfig"
    rows = (
        "renames = false",
        "directoryRenames = true",
        "conflictStyle = diff3",
        "renameLimit = 1",
    )
    more = "\n".join(["[merge]", *rows, ""])
    settings.write_text(settings.read_text() + more)
    base: Tree = {f"old/{n}": lines(str(n)) for n in range(9)}
    team = base | {f"old/{n}": lines(str(n), n18="mine") for n in range(8)}
    team |= {"old/8": "mine\n", "old/mine": "mine"}
    template: Tree = {f"new/x{n}": lines(str(n), n2="new") for n in range(8)}
    done, found = merged(workshop, base, team, template | {"old/8": "new\n"})
    assert [one.path for one in done.conflicts] == ["old/8"]
    assert found.keys() == template.keys() | {"old/8", "old/mine"}
    assert b"|||||||" not in found["old/8"]
    assert all(b"mine" in found[path] and b"new" in found[path] for path in template)


def test_a_folder_put_into_a_commit(workshop: Workshop) -> None:
    first: Tree = {"a/x": "x", "a/y": "y", "b": "b", 'q"/z': "z"}
    workshop.commit(whole=given(first), part=given({"new": "new"}), empty=given({}))
    commit = workshop.git.text("rev-parse", "whole")
    for folder in ("a/", 'q"/', "n/e/w/"):
        tree = workshop.whole(commit, folder, "part^{tree}")
        kept = {path for path in first if not path.startswith(folder)}
        assert entries(workshop.git, tree).keys() == kept | {f"{folder}new"}
    tree = workshop.whole(commit, "", "part^{tree}")
    assert entries(workshop.git, tree).keys() == {"new"}
    tree = workshop.whole(commit, "a/", "empty^{tree}")
    assert entries(workshop.git, tree).keys() == {"b", 'q"/z'}


WINDOWS = lines("a").replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("ours", "theirs", "followed"),
    [
        (WINDOWS + "mine\r\n", lines("a", n2="new"), True),
        (WINDOWS + "mine\n", lines("a", n2="new"), False),  # mixed
        (WINDOWS + "\0", lines("a", n2="new"), False),  # no text
        ("mine", lines("a", n2="new"), False),  # one line without an end
        ("", lines("a", n2="new"), False),
        (lines("a") + "mine\n", lines("a", n2="new"), False),
        (WINDOWS, lines("a"), False),  # the template did not change it
    ],
)
def test_line_ends(workshop: Workshop, ours: str, theirs: str, followed: bool) -> None:
    sides = given({"a": lines("a")}), given({"a": theirs})
    files, made = given({"a": ours})
    workshop.commit(team=(files, made))
    assert prepare(*sides, files, workshop.git) == ()
    for side, text in zip(sides, (lines("a"), theirs), strict=True):
        expected = text.replace("\n", "\r\n") if followed else text
        assert side[1][side[0]["a"][1]] == expected.encode()


def test_a_large_file_is_not_read(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = given({"a": lines("a")}), given({"a": lines("a", n2="new")})
    files, made = given({"a": "x\r\n" * 400_000})
    workshop.commit(team=(files, made))
    monkeypatch.setattr(merge, "_LARGEST", 1_000_000)
    read: list[str] = []

    def blobs(_: Git, names: list[str]) -> dict[str, bytes]:
        read.extend(names)
        return {}

    monkeypatch.setattr(Git, "blobs", blobs)
    assert prepare(before, after, files, workshop.git) == (Conflict("a", "larger than 1 MB"),)
    assert not read
    assert before[0] == after[0] == files  # as the team has it
