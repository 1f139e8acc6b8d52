"""What is shown: tables that fit, JSON that lasts, SARIF that is valid, pages that are safe."""

import json
import re
import shutil
import subprocess
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import npm
import pytest
from rich.console import Console, RenderableType

from factory import output
from factory.assess import Assessment, assess
from factory.errors import FactoryError
from factory.files import Files
from factory.policy import Finding
from factory.status import Row

TODAY = date(2026, 11, 21)
HOSTILE = "<script>alert(1)</script>\"'&[red]\x1b[31m\u202e"


def row(name: str, **changes: Any) -> Row:
    usual: dict[str, Any] = {
        "source": f"https://git.example.com/{name}",
        "ring": "all",
        "version": "0.4.0",
        "latest": "0.4.0",
        "behind": 0,
        "edited": 0,
        "stale": 0,
        "deleted": 0,
        "answers": {"provider": "aws", "ci": "github", "serving": ["online", "batch"], "team": "a"},
        "labels": {"stage": "pilot"},
    }
    return Row(name, **usual | changes)


ROWS = [
    row("churn", ring="canary"),
    row(
        "late-arrivals-of-the-winter-season-in-the-north",
        version="0.3.0",
        behind=1,
        edited=12,
        labels={"stage": "Retired"},
    ),
    row("fraud", version="0.2.0", behind=2, stale=3, deleted=1, answers={"provider": "gcp"}),
    row("gone", version=None, behind=None, answers={}, error="no answers are committed"),
    row(HOSTILE, source=HOSTILE, ring=HOSTILE, version=HOSTILE, labels={HOSTILE: HOSTILE}),
]
FINDINGS = [
    Finding("churn", "allowed.provider", "error", "provider is local", "change it", "a b.yml", 3),
    Finding("churn", "exception.ends", "warning", "it ends", "agree again"),
    Finding(HOSTILE, HOSTILE, "note", HOSTILE, HOSTILE, HOSTILE, 1),
]
FILES = {"tests/test_a.py": "def test_a(): ...\n", "dvc.yaml": "[", "CODEOWNERS": "* @ml-team\n"}


@pytest.fixture(scope="module")
def assessments() -> list[Assessment]:
    given = [("churn", {"team": "a"}), ("fraud", {"team": "b"}), (HOSTILE, {"team": HOSTILE})]
    return [assess(name, answers=answers, files=Files.of(FILES)) for name, answers in given]


def shown(what: RenderableType, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(what)
    return capture.get().splitlines()


# Tables ----------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_fits_and_loses_no_name(width: int, assessments: list[Assessment]) -> None:
    lines = shown(output.status_table(ROWS, width), width)
    assert max(map(len, lines)) <= width
    names = "".join(line.split("  ")[0].strip() for line in lines)
    assert "late-arrivals-of-the-winter-season-in-the-north" in names
    assert any("no answers are committed" in line for line in lines)
    more = ["stale", "deleted"] if width >= 70 else []
    heads = next(line for line in lines if line.strip()).split()
    assert [head for head in heads if head not in {"ring", "provider"}] == [
        *("repository", "version", "behind", "edited"),
        *more,
    ]
    told = shown(output.assessment_table(assessments[:1], FINDINGS), width)
    assert max(map(len, told)) <= width
    assert any("fix: change it" in line for line in told)


def test_an_assessment_names_what_the_next_level_takes(assessments: list[Assessment]) -> None:
    told = "\n".join(shown(output.assessment_table(assessments[:1]), 80))
    assert "For level 1, DevOps but no MLOps:" in told
    assert "fix: configure a linter" in told
    assert "practices need facts that were not given (--facts)." in told


def test_a_name_neither_moves_the_cursor_nor_marks_up(assessments: list[Assessment]) -> None:
    for what in (
        output.status_table(ROWS, 200),
        output.assessment_table(assessments, FINDINGS),
        output.assessment_table(assessments[2:], FINDINGS),
    ):
        text = "\n".join(shown(what, 200))
        assert "[red]\ufffd[31m\ufffd" in text
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b" not in output.fleet(ROWS, "table")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "\x1b" in output.fleet(ROWS, "table")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*3\d", output.fleet(ROWS, "table"))


def test_a_form_that_is_not_there_is_named(assessments: list[Assessment]) -> None:
    with pytest.raises(FactoryError, match="no form sarif"):
        output.fleet(ROWS, "sarif")
    with pytest.raises(FactoryError, match="no form xml; they have table, json, sarif, html"):
        output.assessed(assessments, [], "xml")


# JSON ------------------------------------------------------------------------


def test_the_json_of_states_has_its_format_and_every_key() -> None:
    given = json.loads(output.fleet(ROWS, "json"))
    assert given["format"] == 1
    assert [one["name"] for one in given["repositories"]] == [one.name for one in ROWS]
    usual = {"name", "source", "ring", "version", "latest", "behind", "edited", "stale", "deleted"}
    assert set(given["repositories"][0]) >= usual | {"answers", "labels", "error"}


def test_the_json_of_assessments_has_every_practice(assessments: list[Assessment]) -> None:
    given = json.loads(output.assessed(assessments, FINDINGS, "json"))
    assert given["format"] == 1
    one = given["repositories"][0]
    assert {"repository", "team", "level", "possible_level", "readiness", "practices"} <= set(one)
    assert len(one["practices"]) == len(assessments[0].items)
    assert one["unreadable"] == {"dvc.yaml": "is no YAML (line 1)"}
    assert {one["team"]: one["repositories"] for one in given["teams"]} == {
        "a": 1,
        "b": 1,
        HOSTILE: 1,
    }
    assert given["findings"][0]["rule"] == "allowed.provider"


# SARIF -----------------------------------------------------------------------


def schema() -> dict[str, Any]:
    """Return the published schema, which a package of Microsoft's brings along."""
    folder = npm.installed() / "node_modules/@microsoft/jest-sarif/lib/schemas"
    (path,) = folder.glob("sarif-2.1.0*.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_sarif_is_valid_and_complete(assessments: list[Assessment]) -> None:
    jsonschema.Draft7Validator.check_schema(schema())
    check = jsonschema.Draft7Validator(schema())
    for text in (output.assessed(assessments, FINDINGS, "sarif"), output.sarif([])):
        assert [error.message for error in check.iter_errors(json.loads(text))] == []
    given = json.loads(output.sarif(FINDINGS))
    broken = json.loads(json.dumps(given).replace('"error"', '"fatal"'))
    assert not check.is_valid(broken)
    churn = next(run for run in given["runs"] if "churn" in run["automationDetails"]["id"])
    first = churn["results"][0]
    rules = churn["tool"]["driver"]["rules"]
    assert rules[first["ruleIndex"]]["id"] == first["ruleId"] == "allowed.provider"
    assert first["level"] == "error"
    assert first["message"]["text"] == "provider is local. Fix: change it"
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b.yml"
    assert place["region"] == {"startLine": 3}


def test_a_finding_keeps_its_fingerprint_when_lines_move() -> None:
    def fingerprint(line: int) -> Any:
        one = Finding(
            "a", "tools.images", "error", "x is no approved image", "y", "Dockerfile", line
        )
        return json.loads(output.sarif([one]))["runs"][0]["results"][0]["partialFingerprints"]

    assert fingerprint(1) == fingerprint(2)


# Pages -----------------------------------------------------------------------


class Page(HTMLParser):
    """What is in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))


@pytest.fixture(params=["status", "assess", "assess one"])
def page(request: pytest.FixtureRequest, assessments: list[Assessment]) -> str:
    if request.param == "status":
        return output.status_html(ROWS, TODAY)
    some = assessments if request.param == "assess" else assessments[2:]
    return output.assessment_html(some, FINDINGS, TODAY)


def test_a_hostile_name_is_text_and_nothing_else(page: str) -> None:
    parsed = Page(page)
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    assert any("<script>alert(1)</script>" in text for _, text in parsed.texts)
    assert not any(name.startswith("on") for _, given in parsed.tags for name in given)
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_a_page_is_one_file_that_asks_nothing_of_the_network(page: str) -> None:
    parsed = Page(page)
    loads = {"src", "srcset", "action", "data", "poster", "background", "style"}
    assert not [(tag, given) for tag, given in parsed.tags if loads & set(given)]
    assert not [tag for tag, _ in parsed.tags if tag in {"link", "img", "iframe", "base", "object"}]
    style = next(text for tag, text in parsed.texts if tag == "style")
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [str(given["content"]) for _, given in parsed.tags if "http-equiv" in given]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_a_page_can_be_read_without_eyes_or_mouse(page: str) -> None:
    parsed = Page(page)
    assert ("html", {"lang": "en"}) in parsed.tags
    cells = [given for tag, given in parsed.tags if tag == "th"]
    assert all(given.get("scope") in {"col", "row"} for given in cells)
    assert {given.get("aria-sort") for given in cells if given["scope"] == "col"} <= {"none"}
    names = [given["for"] for tag, given in parsed.tags if tag == "label"]
    assert names == [given["id"] for tag, given in parsed.tags if tag == "input"]
    levels = [tag for tag, _ in parsed.tags if tag in {"h1", "h2", "h3"}]
    assert levels[0] == "h1"
    assert levels.count("h1") == 1


def test_the_cards_and_bars_count_the_rows() -> None:
    text = re.sub(r"\s+", " ", output.status_html(ROWS, TODAY))
    cards = re.findall(r"<b>(\d+)</b> (\w+)", text)
    expected = [("5", "repositories"), ("2", "current"), ("2", "behind")]
    assert cards == [*expected, ("2", "edited"), ("1", "unreadable")]
    assert re.search(r'data-query="provider:gcp">.*?width="20.00".*?class="count">1<', text)
    assert re.search(r'data-query="ring:canary">.*?class="count">1 of 1<', text)


def test_an_empty_fleet_has_a_page() -> None:
    assert "0 repositories" in output.status_html([], TODAY)
    assert "Readiness" in output.assessment_html([], [], TODAY)


# In a browser ----------------------------------------------------------------

NAMES = ["chromium", "chromium-browser", "google-chrome"]
CHROME = next(filter(None, map(shutil.which, NAMES)), None)
STEPS = """
const told = [];
const all = (what) => [...document.querySelectorAll(what)];
const names = () =>
  all("#fleet tbody tr:not([hidden])").map((row) => row.cells[0].children[1].textContent);
const named = (what, name) => all(what).find((one) => one.textContent === name);
const click = (name) => named("thead button", name).click();
const state = (name) => named("thead th", name).ariaSort;
const type = (text) => {
  document.querySelector("input").value = text;
  document.querySelector("input").dispatchEvent(new Event("input"));
};
click("behind"); told.push([state("behind"), names().slice(0, 2)]);
click("behind"); told.push([state("behind"), names().at(-1)]);
click("version"); told.push([state("version"), state("behind"), names()[0]]);
type("is:behind provider:gcp"); told.push(names());
type("WINTER retired"); told.push(names());
type("nothing at all"); told.push(names());
type(""); document.querySelector("[data-query='is:unreadable']").click(); told.push(names());
document.querySelector("[data-query='is:unreadable']").click(); told.push(names().length);
document.title = JSON.stringify(told);
"""


@pytest.fixture
def profile(tmp_path: Path) -> list[str]:
    if not CHROME:
        pytest.skip("no Chromium here")
    return [
        *(CHROME, "--headless", "--no-sandbox", "--disable-quic", "--disable-gpu"),
        *("--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"),
    ]


def test_a_page_sorts_and_filters(tmp_path: Path, profile: list[str]) -> None:
    rows = [one for one in ROWS if one.name != HOSTILE]
    text = output.status_html(rows, TODAY)
    page = tmp_path / "page.html"
    # The page's own policy would refuse the steps: it goes, for this test.
    page.write_text(re.sub(r"<meta http-equiv.*?>", "", text) + f"<script>{STEPS}</script>")
    run = subprocess.run(
        [*profile, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = re.search(r"<title>(.*?)</title>", run.stdout)
    assert found
    winter = "late-arrivals-of-the-winter-season-in-the-north"
    assert json.loads(found[1]) == [
        ["descending", ["fraud", winter]],
        ["ascending", "gone"],  # what is not known is last, whichever way
        ["ascending", "none", "fraud"],
        ["fraud"],
        [winter],
        [],
        ["gone"],
        4,
    ]


def test_the_pages_own_script_runs_under_its_own_policy(tmp_path: Path, profile: list[str]) -> None:
    page = tmp_path / "page.html"
    page.write_text(output.status_html(ROWS, TODAY))
    command = [*profile, "--dump-dom", page.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert re.search(r"<output [^>]*>5</output>", run.stdout)
    assert "alert(1)" in run.stdout
    # What the policy does not name is refused.
    page.write_text(output.status_html(ROWS, TODAY).replace('"use strict";', '"use strict"; //'))
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert re.search(r"<output [^>]*></output>", run.stdout)
