"""``python -m mlops.serve``: one process that answers for one model."""

import argparse
import gc
import os
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from .. import project
from ..errors import MlopsError
from ..settings import Settings, load_settings
from .app import Server, create

REGISTRY = "registry:"
DRAIN = 1.0  # seconds in which a proxy sees that this server is no longer ready
KEEP_ALIVE = 75  # seconds; longer than a proxy keeps an idle connection


class Process(uvicorn.Server):
    """Ends with code 0 on SIGTERM: says so on /ready, goes on answering, then drains."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self._server = server

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal ends at once."""
        if self._server.draining:
            self.should_exit = self.force_exit = True
            return
        self._server.draining = True
        timer = threading.Timer(DRAIN, setattr, (self, "should_exit", True))
        timer.daemon = True
        timer.start()


def resolve(name: str) -> tuple[Path, int]:
    """Return the folder and number of a registered version: ``champion``, ``challenger`` or ``3``.

    Raises:
        MlopsError: the registry holds no such version.
    """
    from .. import candidate
    from ..registry import open_registry
    from ..registry.base import champion
    from ..settings import environment_name

    if name.isdecimal():
        return candidate.fetch(int(name)), int(name)
    aliases = {"champion": champion(environment_name()), "challenger": candidate.CHALLENGER}
    if name not in aliases:
        raise MlopsError(f"{name!r} is no version: registry: takes champion, challenger or 3.")
    version = open_registry(load_settings()).alias(aliases[name])
    if version is None:
        raise MlopsError(f"The registry has no {aliases[name]}: register a model first.")
    return candidate.fetch(version.number), version.number


def serve(model: str, version: int | None, host: str | None, port: int | None) -> None:
    """Serve a model until a signal comes.

    Args:
        model: a folder with model.onnx and contract.json, or ``registry:champion``.
        version: its number; a registry knows it.
        host: else the environment's.
        port: else the environment's.

    Raises:
        MlopsError: the model cannot be served.
    """
    settings = load_settings()
    host, port = host or settings.serving.host, port or settings.serving.port
    if model.startswith(REGISTRY):
        folder, number = resolve(model.removeprefix(REGISTRY))
        # Start afresh: the server's process keeps nothing of what a registry imports.
        named = ["--model", str(folder), "--version", str(number)]
        address = ["--host", host, "--port", str(port)]
        os.execv(sys.executable, [sys.executable, "-m", "mlops.serve", *named, *address])  # noqa: S606
    if version is None:
        raise MlopsError(f"Name the version of {model}: --version N, or MLOPS_VERSION.")
    server = create(Path(model), str(version), settings)
    config = uvicorn.Config(
        _known(server, settings),
        host=host,
        port=port,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(settings.serving.timeout) + 1,
    )
    gc.freeze()  # what is loaded by now stays: do not look through it again and again
    Process(config, server).run()


def _known(server: Server, settings: Settings) -> Any:
    """Return the application as the project's platform knows it."""
    if project.PROVIDER not in ("azure", "aws", "gcp"):
        return server
    platform = import_module(f"{__package__}.platform")
    if settings.serving.figures:
        platform.tell(server, settings.serving.figures)
    return platform.Platform(server)


def main() -> None:
    """Read the arguments, and serve; a refusal is one line and an exit code."""
    parser = argparse.ArgumentParser("mlops.serve", description=__doc__)
    model, version = os.environ.get("MLOPS_MODEL"), os.environ.get("MLOPS_VERSION")
    parser.add_argument("--model", default=model, required=not model, help="folder or registry:…")
    parser.add_argument("--version", type=int, default=version, help="number of the version")
    parser.add_argument("--host", help="else the environment's")
    parser.add_argument("--port", type=int, help="else the environment's")
    parser.add_argument("serve", nargs="?", help="SageMaker starts every container by this word")
    arguments = parser.parse_args()
    try:
        serve(arguments.model, arguments.version, arguments.host, arguments.port)
    except MlopsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
