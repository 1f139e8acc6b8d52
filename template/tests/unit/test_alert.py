import json
import logging
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops import project
from mlops.ci.alert import alert, notify
from mlops.errors import MlopsError
from mlops.settings import Paths

SECRET = "hush-hush"  # noqa: S105  # pragma: allowlist secret


class Stub(SimpleNamespace):
    """A platform that remembers its work items."""

    def __init__(self, broken: bool = False) -> None:
        self.broken, self.items = broken, list[tuple[str, str, str]]()

    def run_url(self) -> str:
        return "https://ci.example/run/42"

    def actor(self) -> str:
        return "ada"

    def work_item(self, key: str, title: str, body: str) -> str:
        if self.broken:
            raise MlopsError("503 out of order")
        self.items.append((key, title, body))
        return "https://ci.example/item/1"


class Inbox(socketserver.ThreadingTCPServer):
    """Enough of SMTP (RFC 5321) to take a mail."""

    allow_reuse_address = True

    def __init__(self) -> None:
        self.mails: list[str] = []
        super().__init__(("127.0.0.1", 0), Letterbox)


class Letterbox(socketserver.StreamRequestHandler):
    server: Inbox

    def handle(self) -> None:
        self.wfile.write(b"220 inbox\r\n")
        while line := self.rfile.readline().decode().strip().upper():
            if line == "DATA":
                self.wfile.write(b"354 go on\r\n")
                mail = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                self.server.mails.append("".join(mail))
            self.wfile.write(b"221 bye\r\n" if line == "QUIT" else b"250 ok\r\n")


class Sink(ThreadingHTTPServer):
    """A web hook: it takes JSON."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        super().__init__(("127.0.0.1", 0), Hook)


class Hook(BaseHTTPRequestHandler):
    server: Sink

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append(json.loads(text))
        self.send_response(500 if "broken" in self.path else 200)
        self.end_headers()


def serving(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    yield from serving(Inbox())


@pytest.fixture
def sink() -> Iterator[Sink]:
    yield from serving(Sink())


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_NOTIFY", raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_failure_becomes_a_work_item() -> None:
    forge = Stub()
    said = alert(forge, "release")
    ((key, title, body),) = forge.items
    assert key == f"{project.NAME}:release"
    assert len(key) <= 50  # GitHub's longest label
    assert title == f"{project.TITLE}: release failed"
    assert "[this run](https://ci.example/run/42)" in body
    assert "- cause: a job ended with an error" in body
    assert "- started by: ada" in body
    assert said.splitlines() == [
        "Work item: https://ci.example/item/1",
        "MLOPS_NOTIFY is empty: nobody was notified.",
    ]


def test_a_refused_challenger_is_no_crash() -> None:
    forge, paths = Stub(), Paths()
    paths.reports.mkdir()
    checks = [{"gate": "absolute.accuracy", "passed": False}, {"gate": "parity", "passed": True}]
    paths.gates.write_text(json.dumps({"checks": checks}))
    alert(forge, "integrate")
    ((_, title, body),) = forge.items
    assert title == f"{project.TITLE}: integrate refused a challenger"
    assert "- cause: the challenger was refused by absolute.accuracy\n" in body
    paths.gates.write_text(json.dumps({"checks": checks[1:]}))
    alert(forge, "integrate")
    assert "failed" in forge.items[1][1]


def test_mail_and_web_hooks_are_told(
    inbox: Inbox, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = (
        f"mailto://127.0.0.1:{inbox.server_address[1]}?from=a@b.example&to=c@d.example,e@f.example"
    )
    monkeypatch.setenv("MLOPS_NOTIFY", f"{mail}, json://127.0.0.1:{sink.server_port}/hook")
    said = alert(Stub(), "release")
    assert said.splitlines()[1:] == ["MLOPS_NOTIFY 1 (mailto): sent", "MLOPS_NOTIFY 2 (json): sent"]
    assert len(inbox.mails) == 2  # one to each
    assert "https://ci.example/item/1" in inbox.mails[0]
    (told,) = sink.told
    assert told["title"] == f"{project.TITLE}: release failed"
    assert told["type"] == "failure"


def test_who_is_not_reached_is_said_without_the_secret(
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(logging.getLogger("apprise"), "disabled", False)
    address = f"127.0.0.1:{sink.server_port}"
    urls = [f"json://me:{SECRET}@{address}/broken", f"json://{address}", "json://127.0.0.1:1"]
    monkeypatch.setenv("MLOPS_NOTIFY", ",".join(urls))
    assert notify("title", "body") == [
        "MLOPS_NOTIFY 1 (json): NOT sent",
        "MLOPS_NOTIFY 2 (json): sent",
        "MLOPS_NOTIFY 3 (json): NOT sent",
    ]
    monkeypatch.setenv("MLOPS_NOTIFY", SECRET)
    assert notify("title", "body") == ["MLOPS_NOTIFY 1 (not a URL): NOT sent"]
    assert SECRET not in "".join([*capfd.readouterr(), caplog.text])


def test_without_a_work_item_they_are_told_all_the_same(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_NOTIFY", f"json://127.0.0.1:{sink.server_port}")
    with pytest.raises(MlopsError, match=r"No work item: 503 out of order\nMLOPS_NOTIFY 1 \(json"):
        alert(Stub(broken=True), "release")
    assert "No work item: 503" in sink.told[0]["message"]
