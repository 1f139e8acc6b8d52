"""Answers for another version: Copier judges them, and nobody is asked."""

import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from copier import run_copy
from templates import STRICT, commit, working_copy

from factory.ask import ask
from factory.errors import FactoryError
from factory.render import Source
from factory.template import Template

QUESTIONS = """
name:
  {type: str, default: Zoo, validator: "{% if name == 'bad' %}bad is not usable: good{% endif %}"}
ci: {type: str, default: github, choices: {GitHub: github, GitLab: gitlab}}
several: {type: str, multiselect: true, default: [b], choices: [a, b, c]}
strategy: {type: str, default: canary, when: "{{ 'a' in several }}"}
new: {type: str, default: "{{ name }}!"}
count: {type: int, default: 3}
key: {type: str, default: hush, secret: true}
kept: {type: str, when: false, default: "{{ name | upper }}"}
needed: {type: str, default: x}
"""
DEFAULTS = {
    "name": "Zoo",
    "ci": "github",
    "several": ["b"],
    "new": "Zoo!",
    "count": 3,
    "needed": "x",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("template")
    commit(folder, {"copier.yml": STRICT + QUESTIONS}, "1.0.0")
    template = Template.open(str(folder))
    return template.at(template.latest)


@pytest.mark.parametrize(
    ("recorded", "given", "change"),
    [
        ({}, {}, {}),
        ({"_commit": "1", "_src_path": "x", "gone": "y"}, {}, {}),
        ({"name": "A", "count": "4"}, {}, {"name": "A", "new": "A!", "count": 4}),
        ({"name": "A"}, {"name": "B"}, {"name": "B", "new": "B!"}),
        ({}, {"several": ["c", "a"]}, {"several": ["a", "c"], "strategy": "canary"}),
        ({"several": ["a"], "strategy": "x"}, {}, {"several": ["a"], "strategy": "x"}),
        ({"several": ["a"], "strategy": "x"}, {"several": ["b"]}, {}),
    ],
)
def test_answers(
    recorded: dict[str, Any], given: dict[str, Any], change: dict[str, Any], source: Source
) -> None:
    assert ask(source, recorded, given) == {**DEFAULTS, **change}


@pytest.mark.parametrize(
    ("recorded", "given", "said"),
    [
        ({"name": "bad"}, {}, "bad is not usable: good; give another answer: --data NAME=VALUE"),
        ({}, {"name": "bad"}, "bad is not usable: good"),
        ({"ci": "jenkins"}, {}, r"'ci': 'jenkins' is not in \['github', 'gitlab'\]; give another"),
        ({"several": ["z"], "count": "many"}, {}, "give another answer"),
        ({"name": ["a"]}, {}, "give another answer"),
        ({"name": None}, {}, "give another answer"),
        ({"count": float("inf")}, {}, "give another answer"),
        ({}, {"nam": "x"}, r"no question is called nam; name\?"),
        ({}, {"kept": "x"}, "no question is called kept"),
        ({}, {"zzz": "x"}, "no question is called zzz: name, ci, several, strategy, new, count"),
        ({}, {"_commit": "x"}, "no question is called _commit"),
    ],
)
def test_refusals(
    recorded: dict[str, Any], given: dict[str, Any], said: str, source: Source
) -> None:
    with pytest.raises(FactoryError, match=said):
        ask(source, recorded, given)


def test_an_old_answer_gives_way_to_a_new_one(source: Source) -> None:
    assert ask(source, {"ci": "jenkins"}, {"ci": "gitlab"})["ci"] == "gitlab"


def test_a_question_without_default_and_a_newer_copier_are_told(tmp_path: Path) -> None:
    commit(tmp_path, {"copier.yml": STRICT + "wanted: {type: str}\n"}, "1.0.0")
    commit(tmp_path, {"copier.yml": STRICT + '_min_copier_version: "99"\n'}, "2.0.0")
    template = Template.open(str(tmp_path))
    for version, said in (("1.0.0", "wanted"), ("2.0.0", "requires Copier version >= 99")):
        with pytest.raises(FactoryError, match=said):
            ask(template.at(template.resolve(version)), {}, {})


def test_a_person_s_own_defaults_are_not_the_fleet_s(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "copier/settings.yml"
    settings.parent.mkdir()
    settings.write_text("defaults: {name: Mine, ci: gitlab}\n")
    for variable, value in (("XDG_CONFIG_HOME", tmp_path), ("COPIER_SETTINGS_PATH", settings)):
        monkeypatch.setenv(variable, str(value))
        assert ask(source, {}, {}) == DEFAULTS


def test_from_many_threads(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copier works on one at a time: it may change what is the process's own."""
    found: dict[int, Any] = {}
    running, most = [], []

    def watched(*arguments: Any, **options: Any) -> Any:
        running.append(1)
        most.append(len(running))
        try:
            return run_copy(*arguments, **options)
        finally:
            running.pop()

    monkeypatch.setattr("copier.run_copy", watched)

    def work(number: int) -> None:
        try:
            found[number] = ask(source, {"name": "bad" if number % 2 else f"N{number}"}, {})
        except FactoryError as error:
            found[number] = str(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(most) == {1}
    for number in range(12):
        if number % 2:
            assert "bad is not usable" in found[number]
        else:
            assert found[number]["name"] == f"N{number}"


def test_this_template(tmp_path: Path) -> None:
    """What Copier would record is what an update records."""
    template = Template.open(str(working_copy()))
    source = template.at(template.latest)
    given = {"provider": "aws", "registry": "sagemaker", "training": "job"}
    answers = ask(source, {"project_name": "Churn"}, given)
    made = source.render(answers, source="s", version="v")
    content = made.made[made.files[".copier-answers.yml"][1]]
    assert yaml.safe_load(content) == {"_commit": "v", "_src_path": "s", **answers}
    assert answers["project_slug"] == "churn"
    with pytest.raises(FactoryError, match="sagemaker does not go with provider gcp: it is part"):
        ask(source, answers, {"provider": "gcp"})
