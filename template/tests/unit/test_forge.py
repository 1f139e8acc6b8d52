"""The platform's calls, against a fake of it on loopback: see forges/ for what it is made from."""

import importlib.util
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from mlops import project
from mlops.ci import Forge, comment, open_forge
from mlops.ci.forge import ATTEMPTS, MARKER, BusyError, cut
from mlops.errors import MlopsError
from mlops.settings import Paths

SECRET = "hush-hush"  # noqa: S105  # pragma: allowlist secret
LONG = "\n\n".join(["a paragraph of words " * 10] * 6000)


def _platform() -> ModuleType:
    name = project.CI.replace("-", "_")
    path = Path(__file__).parent / "forges" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PLATFORM = _platform()


class Fault(NamedTuple):
    """What the platform does instead of answering as it should."""

    status: int
    method: str = "GET|POST|PUT|PATCH"
    done: bool = False  # it fails only after having done what was asked
    headers: tuple[tuple[str, str], ...] = ()


class Platform:
    """A fake of the platform, its log, and the faults that are still to come."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, PLATFORM.Fake()
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.refused: list[str] = []
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body leave together

            def log_message(self, *arguments: Any) -> None:
                pass

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                text = self.rfile.read(length).decode()
                status, content, headers = platform.answer(self, text)
                body = b"" if content is None else json.dumps(content).encode()
                self.send_response(status)
                for name, value in (*headers, ("Content-Length", str(len(body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler, text: str) -> tuple[int, Any, Any]:
        self.asked.append(f"{request.command} {request.path}")
        if SECRET not in " ".join(request.headers.values()):
            return 401, {"message": "Unauthorized"}, ()
        if self.faults and re.fullmatch(self.faults[0].method, request.command):
            fault = self.faults.pop(0)
            if fault.done:
                self.route(request, text)
            # The worst: it echoes what it was sent.
            return fault.status, {"message": f"out of order {SECRET}"}, fault.headers
        return *self.route(request, text), ()

    def route(self, request: BaseHTTPRequestHandler, text: str) -> tuple[int, Any]:
        """Answer as the schema has it; a request that is not in it is refused, and remembered."""
        url = urlsplit(request.path)
        query, body = dict(parse_qsl(url.query)), json.loads(text or "{}")
        for route, (fields, allowed, handle) in self.data.routes.items():
            if found := re.fullmatch(route, f"{request.command} {unquote(url.path)}"):
                patch = isinstance(body, list)
                given = {entry["path"] for entry in body} if patch else set(body)
                kind = f"application/json{'-patch+json' if patch else ''}"
                if (
                    given != fields
                    or not set(query) <= allowed
                    or (text and request.headers["Content-Type"] != kind)
                ):
                    self.refused.append(f"{route}: {text} {query}")
                    return 422, {"message": "Validation failed"}
                return handle(list(found.groups()), query, body)
        self.refused.append(f"{request.command} {request.path}")
        return 404, {"message": "Not Found"}


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    fake = Platform(tmp_path)
    for name, value in PLATFORM.variables(fake.url, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(PLATFORM.TOKEN, SECRET)
    thread = threading.Thread(target=lambda: fake.server.serve_forever(poll_interval=0.01))
    thread.start()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
    thread.join()
    assert fake.refused == []  # nothing was asked that the published schema does not have


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nothing is waited for; what would have been is in this list."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def forge(platform: Platform, waits: list[float]) -> Forge:
    return open_forge()


def test_the_first_run_comments_and_the_next_changes_that_comment(
    platform: Platform, forge: Forge
) -> None:
    for number in range(150):  # more than a page
        platform.data.foreign(f"opinion {number}")
    platform.data.foreign(f"{MARKER}\nI pretend to be the report")
    first = forge.comment(7, "first run")
    platform.data.foreign("thanks")
    assert platform.data.bodies() == [f"{MARKER}\nfirst run"]
    assert open_forge().comment(7, "second run") == first
    assert platform.data.bodies() == [f"{MARKER}\nsecond run"]
    forge.comment(7, "plans", "<!-- another -->")
    open_forge().comment(7, "other plans", "<!-- another -->")
    assert platform.data.bodies() == [f"{MARKER}\nsecond run", "<!-- another -->\nother plans"]


def test_a_create_that_failed_but_was_done_is_not_done_again(
    platform: Platform, forge: Forge
) -> None:
    for act in (
        lambda: forge.comment(7, "text"),
        lambda: forge.work_item("late:release", "title", "text"),
        lambda: forge.propose("topic", "title", "text"),
    ):
        platform.faults = [Fault(502, "POST"), Fault(502, "POST", done=True)]
        act()
    assert len(platform.data.bodies()) == len(platform.data.items()) == 1
    assert len(platform.data.changes) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_waited_for(
    platform: Platform, forge: Forge, status: int, waits: list[float]
) -> None:
    after = (("Retry-After", "7"),) if status != 500 else ()
    platform.faults = [Fault(status, headers=after), Fault(status, "POST", headers=after)]
    forge.comment(7, "text")
    assert len(platform.data.bodies()) == 1
    assert waits.count(7) == (2 if after else 0)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_does_not_pass_is_said(platform: Platform, forge: Forge, method: str) -> None:
    platform.faults = [Fault(503, method)] * 99
    with pytest.raises(BusyError, match=r"503 out of order") as error:
        forge.comment(7, "text")
    assert str(error.value).startswith(f"{method} {platform.url}/")
    tried = [line for line in platform.asked if line.startswith(method)]
    assert len(tried) == ATTEMPTS
    assert platform.data.bodies() == []


def test_a_platform_that_is_not_there_is_said(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    for name, value in PLATFORM.variables("http://127.0.0.1:1", platform.folder).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BusyError, match=r"http://127.0.0.1:1/.*: no answer \(ConnectionError\)"):
        open_forge().comment(7, "text")


@pytest.mark.parametrize("status", [203, 302, 401, 403, 404])
def test_without_the_right_the_report_goes_on_the_runs_page(
    platform: Platform, forge: Forge, status: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    platform.faults = [Fault(status, headers=(("Location", "http://127.0.0.1:1/"),))]
    said = comment.post(forge, Paths(tmp_path))
    assert f"not in a comment: GET {platform.url}" in said
    assert f"{status} out of order" in said
    assert "# " in PLATFORM.summary(platform.folder, capfd.readouterr().out)
    assert platform.data.bodies() == []


@pytest.mark.skipif(project.CI == "azure-devops", reason="a policy of the branch asks for it")
def test_what_people_propose_is_read_and_what_pipelines_do_is_not(
    platform: Platform, forge: Forge
) -> None:
    for text in ("Closes #1", ""):
        platform.data.description = text
        assert forge.description(7) == text
    platform.data.description = None
    assert forge.description(7) == ""
    for branch in ("mlops/integrate", "renovate/copier"):
        platform.data.branch = branch
        assert forge.description(7) is None


def test_a_forks_pull_request_is_told(
    platform: Platform,
    forge: Forge,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert not forge.fork()
    for name, value in PLATFORM.FORK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(PLATFORM.TOKEN)
    assert open_forge().fork()
    assert "a fork's jobs have no right to" in comment.post(open_forge(), Paths(tmp_path))
    assert "# " in PLATFORM.summary(platform.folder, capfd.readouterr().out)
    assert platform.asked == []


def test_the_token_is_never_shown(
    platform: Platform, forge: Forge, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = [forge.comment(7, "text"), forge.run_url(), repr(vars(forge))]
    acts: list[Callable[[], object]] = [
        lambda: forge.comment(7, "text"),
        lambda: forge.work_item("late:release", "title", "text"),
        lambda: forge.propose("topic", "title", "text"),
        lambda: forge.start("release", {"version": "3"}),
    ]
    for status in (403, 422, 500):
        for act in acts:
            platform.faults = [Fault(status)] * 99
            with pytest.raises(MlopsError) as error:
                act()
            told += [repr(error.getrepr(showlocals=False)), str(error.value), repr(error.value)]
    platform.faults = [Fault(403)]
    told += [comment.post(forge, Paths(tmp_path)), *capfd.readouterr(), *platform.asked]
    assert "out of order ***" in "".join(told)
    assert SECRET not in "".join(told)


def test_ten_failures_make_one_work_item(platform: Platform, forge: Forge) -> None:
    for number in range(10):
        url = open_forge().work_item("late:release", "It failed", f"failure {number}, <b>")
    assert forge.work_item("late:retrain", "Another", "text") != url
    first, second = platform.data.items()
    assert first[0] == "It failed"
    assert [re.findall(r"failure \d", text) for text in first[1:]] == [
        [f"failure {number}"] for number in range(10)
    ]
    assert second[0] == "Another"
    platform.data.close()
    assert forge.work_item("late:retrain", "Again", "text") != url
    assert len(platform.data.items()) == 3


def test_a_pull_request_is_opened_once_and_refreshed(platform: Platform, forge: Forge) -> None:
    first = forge.propose("mlops/retrain", "New model", "text")
    assert forge.propose("mlops/retrain", "Newer model", "text") == first
    assert [change["title"] for change in platform.data.changes] == ["Newer model"]
    assert "main" in str(platform.data.changes)
    forge.propose("mlops/template", "Template", LONG)
    assert len(platform.data.changes) == 2


@pytest.mark.skipif(project.CI != "azure-devops", reason="a job's runner is a variable")
def test_the_runner_of_a_release_is_handed_on(
    platform: Platform, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RUNNER", "own pool")
    forge.start("release", {"version": "3"})
    assert platform.data.parameters == {"version": "3", "runner": "own pool"}


def test_a_pipeline_is_started_on_the_default_branch(platform: Platform, forge: Forge) -> None:
    assert forge.start("release", {"version": "3"})
    assert platform.data.runs == [("main", "release", "3")]


def test_a_pipeline_is_not_started_twice_by_a_retry(platform: Platform, forge: Forge) -> None:
    platform.faults = [Fault(502, "POST", done=True)]
    with pytest.raises(BusyError, match="502"):
        forge.start("release", {"version": "3"})
    assert len(platform.data.runs) == 1


def test_the_job_knows_its_change_and_run(platform: Platform, forge: Forge) -> None:
    assert (forge.change(), forge.actor()) == (7, "ada")
    assert forge.run_url().startswith(platform.url)
    assert forge.run_url().endswith("42")
    assert " " not in forge.run_url()


def test_outside_a_job_it_is_said_what_is_missing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PLATFORM.variables(platform.url, platform.folder):
        monkeypatch.delenv(name, raising=False)
    assert (open_forge().change(), open_forge().fork()) == (None, False)
    with pytest.raises(MlopsError, match=rf"is not set: this runs in a job of {project.CI}"):
        open_forge().run_url()


def test_git_gets_the_token_for_this_host_only(
    platform: Platform, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")  # one that the platform has set
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "some.key")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "kept")
    for name, value in forge.credentials().items():
        monkeypatch.setenv(name, value)

    def git(*arguments: str) -> str:
        command = ["git", "config", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    remote = PLATFORM.REMOTE.format(url=platform.url)
    header = git("--get-urlmatch", "http.extraheader", remote)
    assert re.match(r"Authorization: (Basic|Bearer) \S+$", header)
    assert git("--get-urlmatch", "http.extraheader", "https://elsewhere.example/team/late") == ""
    assert git("some.key") == "kept"


def test_a_report_gives_the_platform_no_commands(platform: Platform, forge: Forge) -> None:
    forge.comment(7, "text\n/merge\n  /approve")
    forge.comment(7, "text\n/merge")
    forge.work_item("late:release", "title", "/close")
    forge.propose("topic", "title", "/merge")
    assert "/merge" in platform.data.bodies()[0]


def test_a_long_report_is_cut_where_the_platform_would_refuse_it(
    platform: Platform, forge: Forge
) -> None:
    forge.comment(7, LONG)
    (body,) = platform.data.bodies()
    assert "_Cut: the platform takes " in body
    assert len(body) > 60_000


def test_a_cut_closes_what_it_opens_and_ends_between_paragraphs() -> None:
    text = "one\n\n<details><summary>9 rows</summary>\n\n" + "row\n" * 100 + "\n</details>\n\nend"
    assert cut(text, len(text)) == text
    short = cut(text, 200)
    assert len(short) <= 200
    assert short.startswith("one\n\n<details><summary>9 rows</summary>\n\n</details>\n\n_Cut: ")
    assert cut("word " * 100, 120).startswith("word ")
