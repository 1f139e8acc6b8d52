"""`factory.render` gives what Copier gives: byte for byte, modes and the answers file too."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from templates import (
    ANSWERS_FILE,
    ROOT,
    STRICT,
    Files,
    commit,
    contents,
    copied,
    git,
    recorded,
    released,
    rendered,
)

from factory.errors import FactoryError
from factory.fleet import ANSWERS
from factory.template import Template

GIVEN: list[dict[str, Any]] = [
    {},
    {"task": "regression", "serving": ["batch"], "environments": ["dev", "prod"], "license": "MIT"},
    {"provider": "aws", "registry": "gto", "training": "job", "ci": "gitlab", "strategy": "shadow"},
]


@pytest.mark.parametrize("given", GIVEN, ids=lambda given: ",".join(given) or "defaults")
@pytest.mark.parametrize("version", [release.name for release in Template.open(str(ROOT)).releases])
def test_every_release(version: str, given: dict[str, Any], tmp_path: Path) -> None:
    template = Template.open(str(released()))
    release = template.resolve(version)
    source = template.at(release)
    answers = {name: value for name, value in given.items() if name in source.questions}
    tree = copied(released(), tmp_path / "tree", version, **answers)
    kept = recorded(tree)
    made = source.render(kept, source=str(released()), version=release.name)
    assert rendered(template, made) == contents(tree)
    complete = source.complete(answers)
    assert complete == made.answers
    assert source.recorded(complete) == {k: v for k, v in kept.items() if not k.startswith("_")}


def compare(folder: Path, files: Files, **answers: Any) -> dict[str, bytes]:
    """Check that factory renders a made-up template as Copier does; return the contents."""
    folder.mkdir(exist_ok=True)
    commit(folder / "template", {ANSWERS + ".jinja": ANSWERS_FILE, **files}, "1.0.0")
    tree = copied(folder / "template", folder / "tree", **answers)
    template = Template.open(str(folder / "template"))
    source, kept = template.at(template.latest), recorded(tree)
    made = source.render(kept, source=str(folder / "template"), version="1.0.0")
    # From what was given alone, too: the defaults are the same.
    asked = {name: value for name, value in kept.items() if not name.startswith("_")}
    assert source.recorded(source.complete(answers)) == asked
    have = rendered(template, made)
    assert have == contents(tree)
    return {path: content for path, (_, content) in have.items()}


def test_excluded_by_default_without_a_subfolder(tmp_path: Path) -> None:
    files = {"copier.yml": STRICT, "~a": "", "b.pyc": "", "c/.DS_Store": "", "d": "kept"}
    assert set(compare(tmp_path / "one", files)) == {ANSWERS, "d"}
    files["copier.yml"] += "_subdirectory: .\n"
    assert set(compare(tmp_path / "two", files)) == {ANSWERS, "d"}


@pytest.mark.parametrize("top", ["template", "./template/", "a/b"])
def test_nothing_excluded_by_default_in_a_subfolder(tmp_path: Path, top: str) -> None:
    inner = f"{top.strip('./')}/"
    files: Files = {
        "copier.yml": f"{STRICT}_subdirectory: {top}\n",
        "README.md": "not of it",
        "templates/x": "another folder",
        f"{inner}copier.yml": "kept",
        f"{inner}b.pyc": "kept",
        f"{inner}{ANSWERS}.jinja": ANSWERS_FILE,
    }
    assert set(compare(tmp_path, files)) == {ANSWERS, "copier.yml", "b.pyc"}


def test_rows_of_exclude(tmp_path: Path) -> None:
    rows = """
_exclude:
  - copier.yml
  - "*.md"
  - "!kept.md"
  - "{% if small %}\\nbig\\r\\nhuge/*\\n!huge/but{% endif %}"
  - /top
  - "{{ name }}/"
  - "é*"
  - '{% if _copier_operation == "update" %}*{% endif %}'
small: true
name: Zoo
"""
    files = {"copier.yml": STRICT + rows}
    names = ["a.md", "kept.md", "sub/kept.md", "big/x", "huge/x", "huge/but", "top", "sub/top"]
    names += ["Zoo/x", "sub/Zoo/y", "Zoology", "était", "of {{ name }}.md", "big/y.jinja"]
    files |= dict.fromkeys(names, "")
    kept = {ANSWERS, "kept.md", "sub/kept.md", "huge/but", "sub/top", "Zoology"}
    found = set(compare(tmp_path / "small", files))
    assert found >= kept
    assert not found & {
        "a.md",
        "of Zoo.md",
        "big/x",
        "big/y",
        "huge/x",
        "top",
        "Zoo/x",
        "sub/Zoo/y",
    }
    found = set(compare(tmp_path / "large", files, small=False))
    assert found >= {*kept, "big/x", "big/y", "huge/x"}
    assert "a.md" not in found


def test_paths(tmp_path: Path) -> None:
    text = "module: a.b\nempty: ''\n"
    files: Files = {
        "copier.yml": STRICT + text,
        "{{ module.replace('.', '_') }}/x.txt": "{{ as it is }}",
        "src/{{ module }}.py.jinja": "{{ module }}",
        "{% if empty %}gone{% endif %}/y": "",
        "{% if empty %}gone{% endif %}.jinja": "",
        "z{# a comment #}.txt": "",
        "both": "the one without a suffix",
        "both.jinja": "{{ module }}",
        "twice.jinja.jinja": "{{ module }}",
        "folder.jinja/plain": "{{ as it is }}",
        "a b é.txt.jinja": "{{ module }}",
    }
    found = compare(tmp_path, files)
    wanted = {"a_b/x.txt", "src/a.b.py", "z.txt", "both", "twice.jinja", "folder.jinja/plain"}
    assert set(found) == wanted | {ANSWERS, "a b é.txt"}
    assert found["both"] == b"a.b"
    assert found["a_b/x.txt"] == b"{{ as it is }}"


def test_of_two_siblings_the_templated_one_stands(tmp_path: Path) -> None:
    files: Files = {
        "copier.yml": STRICT + "_subdirectory: a\nname: x\n",
        f"a/{ANSWERS}.jinja": ANSWERS_FILE,
        "a/both": "no",
        "a/both.jinja": "{{ name }}",
        "a/{{ name }}.txt": "no",
        "a/{{ name }}.txt.jinja": "{{ name }}",
        "a/z": "Copier looks for its sibling in the whole template",
        "z.jinja": "",
        "a/{{ name }}y": "and for this one's",
        "xy.jinja": "",
    }
    assert compare(tmp_path / "inside", files).keys() == {ANSWERS, "both", "x.txt"}
    top = {name.removeprefix("a/"): content for name, content in files.items()}
    found = compare(tmp_path / "top", {**top, "copier.yml": STRICT + "name: x\n"})
    assert found == {**found, "both": b"x", "x.txt": b"x", "z": b"", "xy": b""}


def test_contents(tmp_path: Path) -> None:
    files: Files = {
        "copier.yml": STRICT + "name: Zoo\nlist: {type: yaml, default: [b, a]}\n",
        "includes/part": "{{ name }} in a part",
        "includes/macros": "{% macro say(x) %}said {{ x }}{% endmacro %}",
        "use.jinja": "{% include 'includes/part' %}\n{% include './includes/part' %}\n",
        "import.jinja": "{% from 'includes/macros' import say %}{{ say(name) }}",
        "filters.jinja": "{{ list | to_nice_yaml }}{{ name | hash('md5') }}\n{{ list | to_json }}",
        "ends.jinja": b"{{ name }}\r\nx\r\n\r\n",
        "no end.jinja": "{{ name }}",
        "bom.jinja": b"\xef\xbb\xbf{{ name }}",
        "binary": bytes(range(256)),
        "empty.jinja": "",
        "run.sh.jinja": "#!/bin/sh\n",
        "run": "#!/bin/sh\n",
    }
    commit(tmp_path / "template", {"run": "", "run.sh.jinja": ""})
    for name in ("run", "run.sh.jinja"):
        (tmp_path / "template" / name).chmod(0o755)
    found = compare(tmp_path, files)
    assert found["use"] == b"Zoo in a part\nZoo in a part\n"
    assert (tmp_path / "tree/run.sh").stat().st_mode & 0o100


def test_other_delimiters(tmp_path: Path) -> None:
    envops = "{undefined: jinja2.StrictUndefined, variable_start_string: '[[', "
    envops += "variable_end_string: ']]', keep_trailing_newline: false, trim_blocks: true}"
    files = {
        "copier.yml": f"_envops: {envops}\nname: Zoo\nother: '[[ name ]] 2'\n",
        f"{ANSWERS}.jinja": ANSWERS_FILE.replace("{{", "[[").replace("}}", "]]"),
        "[[ name ]]": "",
        "{{ name }}": "",
        "x.jinja": "{{ name }} [[ other ]]\n{% if name %}\ny\n{% endif %}\n",
    }
    found = compare(tmp_path, files)
    assert {"Zoo", "{{ name }}"} <= set(found)
    assert found["x"] == b"{{ name }} Zoo 2\ny\n"


QUESTIONS = """
plain: text
number: 3
decimal: 1.5
really: true
nothing:
release: {type: str, default: 3.11, choices: [3.11, 3.12]}
several: {type: str, multiselect: true, default: "[c, 'a']", choices: {A: a, B: b, C: c}}
versions: {type: str, multiselect: true, default: [3.12], choices: "[3.11, 3.12, '{{ number }}']"}
numbers: {type: int, multiselect: true, default: [3, 1], choices: [1, 2, 3]}
long: {type: str, default: a, choices: {One: {value: a, validator: ""}, Two: {value: b}}}
longs: {type: str, multiselect: true, default: [b, a], choices: {One: {value: a}, Two: {value: b}}}
pythons: {type: str, multiselect: true, default: "[3.10]", choices: ["3.9", "3.10"]}
pairs: {type: str, default: q, choices: [[P, p], [Q, q]]}
mapping: {type: yaml, default: "{a: {{ number }}, b: [x]}"}
json: {type: json, default: '{"a": [1, null]}'}
untyped: "{{ '[1, 2]' }}"
kind: {type: "{{ 'int' if number else 'str' }}", default: "7"}
secret: {type: str, secret: true, default: hush}
asked: {type: str, default: x, when: "{{ number > 2 }}"}
unasked: {type: str, default: "{{ plain }}!", when: "{{ number > 3 }}"}
never: {type: str, when: false}
not_so: {type: bool, default: "{{ 'off' }}"}
when_n: {type: str, default: x, when: "n"}
when_none: {type: str, default: x, when: "{{ none }}"}
when_list: {type: str, default: x, when: "{{ several }}"}
when_zero: {type: str, default: x, when: "{{ 0.0 }}"}
path: {type: path, default: a/b}
after: "{{ unasked }} {{ several | join }} {{ secret }}"
"""


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({}, {"release": "3.11", "several": ["a", "c"], "unasked": "text!"}),
        ({"several": ["c", "b"], "number": 4}, {"several": ["b", "c"], "unasked": "text!"}),
        ({"number": 4, "unasked": "x", "numbers": [3, 2]}, {"unasked": "x", "numbers": [2, 3]}),
        ({"release": 3.12, "really": False}, {"release": "3.12"}),
        ({"plain": "12", "asked": "null", "decimal": 2}, {"plain": "12", "asked": "null"}),
        (
            {"number": "5", "nothing": "[1]", "json": "[]"},
            {"number": 5, "nothing": [1], "json": []},
        ),
        ({"several": [], "mapping": {"a": [1]}}, {"several": [], "mapping": {"a": [1]}}),
    ],
    ids=str,
)
def test_answers(given: dict[str, Any], meant: dict[str, Any], tmp_path: Path) -> None:
    names = [line.split(":")[0] for line in QUESTIONS.strip().splitlines()]
    names.remove("never")
    shown = "\n".join(f"{name}: {{{{ {name} | to_json }}}}" for name in names)
    found = compare(tmp_path, {"copier.yml": STRICT + QUESTIONS, "all.jinja": shown}, **given)
    # What was asked for has come through: not two defaults have been compared.
    said = yaml.safe_load(found["all"])
    assert {name: said[name] for name in meant} == meant


def test_what_is_not_asked_follows_from_the_others(tmp_path: Path) -> None:
    """Whatever an older version, or a person, has recorded."""
    commit(tmp_path, {"copier.yml": STRICT + QUESTIONS}, "1.0.0")
    template = Template.open(str(tmp_path))
    source = template.at(template.latest)
    complete = source.complete({"unasked": "mine", "when_n": "mine", "never": "mine"})
    assert (complete["unasked"], complete["when_n"]) == ("text!", "x")
    assert not {"unasked", "when_n", "never", "secret"} & set(source.recorded(complete))


def test_a_secret_is_not_recorded(tmp_path: Path) -> None:
    files = {"copier.yml": STRICT + "key: {type: str, secret: true, default: hush}\n"}
    assert b"key" not in compare(tmp_path, files, key="loud")[ANSWERS]


NO = ["", " ", "0", "0.0", "No", "off", "~", "none", "F", " null ", False]
YES = ["1", "yes", "maybe", "[]", "T", "-0.5", "nan", True]


def test_what_is_yes_and_what_is_no(tmp_path: Path) -> None:
    rows = {f"q{n}": {"default": n, "when": value} for n, value in enumerate([*NO, *YES])}
    found = compare(tmp_path, {"copier.yml": STRICT + yaml.safe_dump(rows)})
    asked = [name for name in yaml.safe_load(found[ANSWERS]) if name in rows]
    assert sorted(asked) == sorted(list(rows)[len(NO) :])


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (f"{STRICT}_tasks: [rm -rf /]\n", "_tasks"),
        (f"{STRICT}_migrations: []\n_jinja_extensions: [x]\n", "_jinja_extensions, _migrations"),
        (f"{STRICT}_templates_suffix: .tmpl\n", "_templates_suffix"),
        (f"{STRICT}_skip_if_exists: [x]\n", "_skip_if_exists"),
        (f"{STRICT}_secret_questions: [x]\n", "_secret_questions"),
        (f"{STRICT}_preserve_symlinks: true\n", "_preserve_symlinks"),
        (f"{STRICT}_external_data: {{}}\n", "_external_data"),
        (f"{STRICT}_subdirectory: '{{{{ ci }}}}'\n", "_subdirectory"),
        (f"{STRICT}_answers_file: '{{{{ ci }}}}'\n", "_answers_file"),
        ("_envops: {undefined: jinja2.Undefined}\n", "jinja2.StrictUndefined"),
        ("name: x\n", "jinja2.StrictUndefined"),
        ("a: [\n", "YAML"),
        (f"{STRICT}---\nname: x\n", "YAML"),
        ("!include x.yml\n", "!include"),
        ("[]\n", "no questions"),
    ],
)
def test_what_it_does_not_do_is_refused(config: str, name: str, tmp_path: Path) -> None:
    commit(tmp_path, {"copier.yml": config}, "1.0.0")
    template = Template.open(str(tmp_path))
    with pytest.raises(FactoryError, match=name):
        template.at(template.latest)


def test_no_template_and_links_are_refused(tmp_path: Path) -> None:
    commit(tmp_path, {"x": ""}, "1.0.0")
    (tmp_path / "copier.yml").write_text(STRICT)
    (tmp_path / "link").symlink_to("x")
    commit(tmp_path, {}, "2.0.0")
    template = Template.open(str(tmp_path))
    for version, said in (("1.0.0", "no copier.yml"), ("2.0.0", "link is no file")):
        with pytest.raises(FactoryError, match=said):
            template.at(template.resolve(version))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ absent }}", "absent"),
        ("{{ _folder_name }}", "_folder_name"),
        ("{{ _copier_conf.dst_path }}", "dst_path"),
        ("{{ _copier_operation }}", "_copier_operation"),
        ("{% include '../outside' %}", "outside"),
        ("{% include 'nowhere' %}", "nowhere"),
        ("{% yield x from y %}{% endyield %}", "yield"),
        ("{{ name.__class__.__mro__ }}", "unsafe"),
        ("{{ name + 1 }}", "x.jinja"),
        (b"\xff{{ name }}", "x.jinja"),
    ],
)
def test_a_file_that_can_not_be_rendered(text: str | bytes, said: str, tmp_path: Path) -> None:
    """It is told which one, and never left empty or out."""
    commit(tmp_path, {"copier.yml": STRICT + "name: Zoo\n", "x.jinja": text}, "1.0.0")
    template = Template.open(str(tmp_path))
    with pytest.raises(FactoryError, match=said) as caught:
        template.at(template.latest).render({}, source="s", version="1.0.0")
    assert "version 1.0.0, x.jinja: " in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"name": ["x"]}, r"name: \['x'\] is no answer of type str"),
        ({"name": None}, "name: None is no answer of type str"),
        ({"flag": None}, "flag: None is no answer of type bool"),
        ({"count": "many"}, "count: 'many' is no answer of type int"),
        ({"several": 3}, "several: 3 is no answer of type str"),
        ({"name": "../../etc/x"}, "outside the project"),
        ({"name": "a/../../b"}, "outside the project"),
    ],
)
def test_answers_that_nobody_gave_to_a_question(
    answers: dict[str, Any], said: str, tmp_path: Path
) -> None:
    text = "name: Zoo\ncount: 3\nflag: true\nneeded: {type: str}\n"
    text += "several: {type: str, multiselect: true, default: [], choices: [a]}\n"
    commit(tmp_path, {"copier.yml": STRICT + text, "{{ name }}.txt": ""}, "1.0.0")
    source = Template.open(str(tmp_path))
    with pytest.raises(FactoryError, match=said):
        source.at(source.latest).render({"needed": "x", **answers}, source="s", version="1.0.0")
    with pytest.raises(FactoryError, match="question needed has no answer and no default"):
        source.at(source.latest).render({}, source="s", version="1.0.0")
    outside = source.at(source.latest).render(
        {"needed": "", "name": "/etc/x"}, source="s", version="1.0.0"
    )
    assert not [path for path in outside.files if "etc" in path]


def test_who_owns_a_file(tmp_path: Path) -> None:
    rows = "_exclude: [copier.yml, '{% if gone %}out{% endif %}', "
    rows += "'{% if _copier_operation == \"update\" %}src/{{ name }}/*{% endif %}', '!src/*/x']\n"
    files = {"copier.yml": STRICT + rows + "name: zoo\ngone: true\n", "src/{{ name }}/a": ""}
    commit(tmp_path, {**files, "src/{{ name }}/x": "", "out": "", "b": ""}, "1.0.0")
    template = Template.open(str(tmp_path))
    made = template.at(template.latest).render({}, source="s", version="1.0.0")
    assert set(made.files) == {"src/zoo/a", "src/zoo/x", "b"}
    assert [path for path in made.files if made.team(path)] == ["src/zoo/a"]
    assert made.team("src/zoo/new")
    assert not made.team("out")  # excluded, and so nobody's
    assert not made.team("copier.yml")


def test_blobs_are_named_as_git_names_them(tmp_path: Path) -> None:
    commit(tmp_path, {"copier.yml": STRICT + "name: Zoo\n", "x.jinja": "{{ name }}\n"}, "1.0.0")
    template = Template.open(str(tmp_path))
    made = template.at(template.latest).render({}, source="s", version="1.0.0")
    command = ["git", "hash-object", "--stdin"]
    said = subprocess.run(command, input=b"Zoo\n", capture_output=True, check=True, cwd=tmp_path)
    assert made.files["x"] == ("100644", said.stdout.decode().strip())
    assert git(tmp_path, "rev-parse", "HEAD:copier.yml")  # what is in git is not made
    assert list(made.made.values()) == [b"Zoo\n"]
