"""The fakes of the platforms' APIs that generated projects' tests bring, on a loopback server."""

import json
import re
import runpy
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from conftest import ROOT


class PlatformApi:
    """A fake of a platform's API, who asked it for what, and what it does not know."""

    def __init__(self, platform: str) -> None:
        self.platform, name = platform, platform.replace("-", "_")
        module = runpy.run_path(str(ROOT / f"template/tests/unit/forges/{name}.py"))
        self.fake, self.token, self._variables = (
            module[part] for part in ("Fake", "TOKEN", "variables")
        )
        self.fake = self.fake()
        self.asked: list[tuple[str, str]] = []  # all headers, route
        self.unknown: list[str] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                pass

            def answer(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                url = urlsplit(self.path)
                route = f"{self.command} {unquote(url.path)}"
                api.asked.append((" ".join(self.headers.values()), route))
                status, content = api.route(route, dict(parse_qsl(url.query)), text.decode())
                body = b"" if content is None else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        for method in ("GET", "PATCH", "POST", "PUT"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def route(self, route: str, query: dict[str, str], text: str) -> tuple[int, Any]:
        """Answer as the fake does; there is nothing else."""
        for pattern, (_, _, handle) in self.fake.routes.items():
            if found := re.fullmatch(pattern, route):
                answer: tuple[int, Any] = handle(
                    list(found.groups()), query, json.loads(text or "{}")
                )
                return answer
        self.unknown.append(route)
        return 404, {"message": f"{route} is not in the fake"}

    def variables(self, folder: Path, change: bool) -> dict[str, str]:
        """Return what the platform predefines for a job, of a pull request or not."""
        url = f"http://127.0.0.1:{self.server.server_port}"
        found = dict(self._variables(url, folder))
        if change:
            return found
        if "GITHUB_EVENT_PATH" in found:
            Path(found["GITHUB_EVENT_PATH"]).write_text("{}", encoding="utf-8")
        return {k: v for k, v in found.items() if not re.search("PULLREQUEST|MERGE_REQUEST", k)}
