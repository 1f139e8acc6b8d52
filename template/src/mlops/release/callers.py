"""Callers for an environment of the provider's that has none of its own."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ..contract import Contract
from ..errors import MlopsError
from ..serve.load import BODIES, usual
from .targets.base import Target

THREADS = 16


@contextlib.contextmanager
def callers(target: Target, rate: float, model: Path) -> Iterator[None]:
    """Send requests through the endpoint while the block runs.

    Args:
        target: whose endpoint is asked, as callers do.
        rate: requests a second at most; the endpoint may be slower.
        model: folder of a model whose contract says what is asked.
    """
    bodies = [{"records": [record]} for record in usual(Contract.read(model), BODIES)]
    turns, lock, ended = itertools.count(), threading.Lock(), threading.Event()
    started = time.monotonic()

    def work() -> None:
        while not ended.is_set():
            with lock:
                turn = next(turns)
            ended.wait(max(0.0, started + turn / rate - time.monotonic()))
            with contextlib.suppress(MlopsError):  # the platform counts it, and the release judges
                target.ask(None, "/predict", bodies[turn % len(bodies)])

    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
