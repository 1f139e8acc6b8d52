"""The stages, each a module with one function of the same name: ``stage(params, paths)``.

DVC runs them as ``python -m mlops.pipeline.<stage>``; :func:`run` runs them all in this process.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from importlib import import_module

from rich.console import Console
from rich.logging import RichHandler

from ..errors import MlopsError, PipelineError
from ..settings import Params, Paths, load_params

FAILURE = "failure.json"
STAGES = ["ingest", "validate", "prepare", "train", "evaluate"]

log = logging.getLogger("mlops")


def run(params: Params, paths: Paths) -> None:
    """Run every stage in this process, below ``paths.root``: for tests, notebooks and samples."""
    for name in STAGES:
        getattr(import_module(f".{name}", __name__), name)(params, paths)


def forget(paths: Paths) -> None:
    """Forget the last failure."""
    (paths.logs / FAILURE).unlink(missing_ok=True)


def failure(paths: Paths) -> PipelineError | None:
    """Return the failure of the stage that ran last, if it failed: DVC hides its exit code."""
    path = paths.logs / FAILURE
    if not path.is_file():
        return None
    return PipelineError(**json.loads(path.read_text(encoding="utf-8")))


def main(stage: Callable[[Params, Paths], None]) -> None:
    """Run one stage as a process: a line of progress, a log file, an exit code that tells why."""
    paths, started = Paths(), time.perf_counter()
    paths.logs.mkdir(exist_ok=True)
    file = logging.FileHandler(paths.logs / f"{stage.__name__}.log", mode="w", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    screen = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    screen.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[file, screen])
    log.setLevel(logging.INFO)
    try:
        stage(load_params(), paths)
    except Exception as error:
        refused = isinstance(error, MlopsError)
        code = error.exit_code if isinstance(error, MlopsError) else 1
        log.error("%s: %s", stage.__name__, error, exc_info=not refused)
        found = {"message": f"{stage.__name__}: {error}", "exit_code": code}
        (paths.logs / FAILURE).write_text(json.dumps(found), encoding="utf-8")
        sys.exit(code)
    log.info("%s took %.1f s", stage.__name__, time.perf_counter() - started)
