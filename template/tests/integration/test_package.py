"""`make publish-package`: what it sends to a feed installs from there, and is whole."""

import os
import subprocess
import sys
import sysconfig
from base64 import b64encode
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mlops import project

ROOT = Path(__file__).parents[2]
LOGIN = {"UV_PUBLISH_USERNAME": "job", "UV_PUBLISH_PASSWORD": "token"}  # pragma: allowlist secret


class Feed(HTTPServer):
    """A feed: uploads as the Python package index takes them, files as a simple index has them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Upload)
        self.folder = folder


class Upload(BaseHTTPRequestHandler):
    """Keep a file that somebody sends who is logged in."""

    server: Feed

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = b64encode(":".join(LOGIN.values()).encode()).decode()
        if self.headers["Authorization"] != f"Basic {known}":
            self.send_error(403)
            return
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n"
        form: Any = message_from_bytes(head.encode() + body).get_payload()
        parts = {part.get_param("name", header="Content-Disposition"): part for part in form}
        content, name = parts["content"], parts["content"].get_filename()
        folder = self.server.folder / parts["name"].get_payload().strip()
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content.get_payload(decode=True))
        (folder / "index.html").write_text(f'<!DOCTYPE html><a href="{name}">{name}</a>')
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    with Feed(tmp_path / "simple") as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def publish(**variables: str) -> subprocess.CompletedProcess[str]:
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("UV_PUBLISH_", "MLOPS_"))}
    command = ["make", "publish-package"]
    return subprocess.run(
        command, cwd=ROOT, env=outside | variables, capture_output=True, text=True, check=False
    )


def test_the_package_installs_from_the_feed(feed: Feed, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{feed.server_port}/"
    done = publish(MLOPS_FEED=url, **LOGIN)
    assert done.returncode == 0, done.stderr
    fresh = tmp_path / "fresh"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, fresh], check=True)
    install = ["uv", "pip", "install", "--quiet", "--no-cache", "--no-deps", project.NAME]
    index = ["--python", fresh / "bin/python", "--index-url", feed.folder.as_uri()]
    subprocess.run([*install, *index], check=True)
    # What it depends on is this environment's, behind its own: a feed has it from elsewhere.
    site = next(fresh.glob("lib/python*/site-packages"))
    (site / "behind.pth").write_text(sysconfig.get_paths()["purelib"])
    code = (
        f"import mlops.cli, mlops.project as p, {project.PACKAGE}.schema;"
        "print(mlops.__file__, p.schema.__file__)"
    )
    command = [fresh / "bin/python", "-I", "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert [Path(path).is_relative_to(site) for path in shown.stdout.split()] == [True, True]


def test_without_a_feed_or_a_login_nothing_is_sent(feed: Feed) -> None:
    done = publish()
    assert done.returncode != 0
    assert "MLOPS_FEED" in done.stderr
    url = f"http://127.0.0.1:{feed.server_port}/"
    done = publish(MLOPS_FEED=url, **LOGIN | {"UV_PUBLISH_PASSWORD": "wrong"})
    assert done.returncode != 0
    assert not feed.folder.exists()
