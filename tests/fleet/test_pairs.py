"""`factory.render` gives what Copier gives, for every pair of answers: a file alone, for time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import trees
from allpairspy import AllPairs  # type: ignore[import-untyped]
from templates import contents, recorded, rendered, working_copy

from factory.fleet import ANSWERS
from factory.git import Entry, entries
from factory.render import Source
from factory.template import Template

ROWS = AllPairs(
    [trees.values(name) for name in trees.ASKED],
    filter_func=lambda row: trees.supported(dict(zip(trees.ASKED, row, strict=False))),
)
COMBINATIONS = [dict(zip(trees.ASKED, row, strict=True)) for row in ROWS]


@pytest.fixture(scope="module")
def lying() -> Template:
    return Template.open(str(working_copy()))


@pytest.mark.parametrize("number", range(len(COMBINATIONS)))
def test_every_pair_of_answers(lying: Template, number: int) -> None:
    tree = trees.rendered(**COMBINATIONS[number])
    answers = recorded(tree)
    made = lying.at(lying.latest).render(
        answers, source=str(trees.template()), version=lying.latest.name
    )
    have, wanted = rendered(lying, made), contents(tree)
    # Copier had a folder without history, which has no version to record.
    plain = have[ANSWERS][1].replace(f"_commit: {lying.latest.name}\n".encode(), b"", 1)
    assert plain != have[ANSWERS][1]
    have[ANSWERS] = (have[ANSWERS][0], plain)
    assert sorted(have) == sorted(wanted)
    assert [name for name in have if have[name] != wanted[name]] == []
    assert lying.at(lying.latest).recorded(made.answers) == {
        name: value for name, value in answers.items() if not name.startswith("_")
    }


def test_many_threads_render_at_once(lying: Template) -> None:
    release = lying.latest

    def work(number: int) -> dict[str, Entry]:
        answers = COMBINATIONS[number % len(COMBINATIONS)]
        return source.render(answers, source="s", version="v").files

    source = lying.at(release)
    alone = [work(number) for number in range(16)]
    source = Source(entries(lying.git, release.commit), lying.git.blobs)  # nothing compiled yet
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(16))) == alone
