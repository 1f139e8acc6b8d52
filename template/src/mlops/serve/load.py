"""A bounded load of a service, and whether it keeps to its budgets: ``mlops bench``."""

import asyncio
import contextlib
import itertools
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..contract import Contract, Field
from ..errors import MlopsError
from ..settings import Paths, Settings, load_settings

FAILED = 0  # the status of a request that got no answer
TIMEOUT = 30.0  # seconds for one answer
PROGRESS_SECONDS = 5.0
BENCH_SECONDS, BENCH_CONNECTIONS = 10.0, 16
BODIES = 500  # different requests
CALLERS = 1000  # of a rehearsal


class BenchError(MlopsError):
    """The service is slower than its budget."""


@dataclass
class Load:
    """What came back. ``latencies`` are milliseconds, of answered requests."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)  # 0: no answer
    versions: Counter[str] = field(default_factory=Counter)
    callers: dict[str, set[str]] = field(default_factory=dict)  # the versions each one got
    latencies: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Return how many were sent."""
        return self.statuses.total()

    @property
    def failures(self) -> int:
        """Return how many got anything but a 2xx."""
        return sum(count for status, count in self.statuses.items() if not 200 <= status < 300)

    @property
    def per_second(self) -> float:
        """Return the good answers of a second."""
        return (self.requests - self.failures) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Return the latency that ``share`` of the answers kept to, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def __str__(self) -> str:
        p50, p95, p99 = (self.percentile(share) for share in (0.50, 0.95, 0.99))
        return (
            f"{self.requests:,} requests, {self.failures} failed, {self.per_second:,.0f}/s, "
            f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms"
        )


async def run(
    url: str,
    bodies: Sequence[bytes],
    *,
    connections: int = BENCH_CONNECTIONS,
    requests: int | None = None,
    seconds: float | None = None,
    rate: float | None = None,
    headers: dict[str, str] | None = None,
    callers: Sequence[str] = (),
    say: Callable[[str], None] | None = None,
) -> Load:
    """Send POST requests over connections that are kept open, until a bound is reached.

    Args:
        url: http://host:port/path.
        bodies: JSON, sent in turn.
        connections: how many, each with one request at a time.
        requests: at most so many.
        seconds: at most so long.
        rate: requests a second in all; as fast as they are answered if None.
        headers: of every request.
        callers: names that go into the header ``x-caller``, in turn.
        say: is told now and then how far it is.
    """
    if requests is None and seconds is None:
        raise ValueError("give requests or seconds: a load has an end")
    address = urlsplit(url)
    given = {"host": address.netloc, "content-type": "application/json", **(headers or {})}
    head = f"POST {address.path or '/'} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in given.items())
    load, started = Load(), time.perf_counter()
    numbers = iter(itertools.count() if requests is None else range(requests))

    async def work() -> None:
        connection = _Connection(address.hostname or "", address.port or 80)
        for number in numbers:
            if rate:
                await asyncio.sleep(started + number / rate - time.perf_counter())
            if seconds is not None and time.perf_counter() - started >= seconds:
                break
            caller = callers[number % len(callers)] if callers else ""
            body = bodies[number % len(bodies)]
            own = f"{head}x-caller: {caller}\r\n" if caller else head
            await _one(connection, own, body, caller, load)
        connection.close()

    async def tell() -> None:
        while say:
            await asyncio.sleep(PROGRESS_SECONDS)
            load.seconds = time.perf_counter() - started
            say(str(load))

    progress = asyncio.create_task(tell())
    await asyncio.gather(*(work() for _ in range(connections)))
    progress.cancel()
    load.seconds = time.perf_counter() - started
    return load


async def _one(connection: "_Connection", head: str, body: bytes, caller: str, load: Load) -> None:
    """Send one request and count what comes back."""
    sent = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    began = time.perf_counter()
    try:
        status, answer = await asyncio.wait_for(connection.send(sent), TIMEOUT)
    except (OSError, EOFError, ValueError, TimeoutError):
        connection.close()
        load.statuses[FAILED] += 1
        await asyncio.sleep(0.01)  # where nobody listens, no hurry
        return
    load.latencies.append(1000 * (time.perf_counter() - began))
    load.statuses[status] += 1
    version = _version(answer)
    if version:
        load.versions[version] += 1
        if caller:
            load.callers.setdefault(caller, set()).add(version)


def _version(answer: bytes) -> str:
    try:
        told = json.loads(answer)
    except ValueError:
        return ""
    return str(told["version"]) if isinstance(told, dict) and "version" in told else ""


class _Connection:
    """One connection to the service, opened when needed and kept."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return the answer's status and body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        first, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        if headers.get("transfer-encoding") == "chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return int(first.split(" ", 2)[1]), body

    def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._streams:
            self._streams[1].close()
            self._streams = None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """Return a body that comes in pieces, each after its length."""
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


def bench(environment: str, seconds: float = BENCH_SECONDS) -> Load:
    """Load an environment's service on this machine and hold it against its budgets.

    Raises:
        BenchError: naming the budget that was missed.
    """
    settings = load_settings(environment)
    url, bodies, headers = _requests(settings, Paths().model)
    work = run(url, bodies, seconds=seconds, headers=headers, say=_progress)
    load = asyncio.run(work)
    judge(load, settings)
    return load


@contextlib.contextmanager
def callers(environment: str, rate: float, model: Path) -> Iterator[None]:
    """Be an environment's callers while the block runs.

    Args:
        environment: its name.
        rate: requests a second.
        model: folder of a model whose contract says what is asked.
    """
    settings = load_settings(environment)
    url, bodies, headers = _requests(settings, model)
    names = [f"rehearsal-{number}" for number in range(CALLERS)]
    loop = asyncio.new_event_loop()
    work = run(
        url, bodies, seconds=settings.release.patience, rate=rate, headers=headers, callers=names
    )
    task = loop.create_task(work)

    def send() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def _requests(settings: Settings, model: Path) -> tuple[str, list[bytes], dict[str, str]]:
    """Return where a service is asked, the bodies that it understands, and the headers."""
    from .auth import api_keys

    serving = settings.serving
    headers = {"x-api-key": api_keys(settings)[0]} if serving.auth == "api-key" else {}
    records = usual(Contract.read(model), BODIES)
    bodies = [json.dumps({"records": [record]}).encode() for record in records]
    return f"http://{serving.host}:{serving.port}/predict", bodies, headers


def usual(contract: Contract, number: int) -> list[dict[str, Any]]:
    """Return records drawn from what training saw: each field by itself, always the same ones."""
    draw = random.Random(number)  # noqa: S311 (no secret)

    def value(of: Field) -> Any:
        if of.kind == "text":
            return draw.choice(of.usual or [of.typical])
        low, high = of.usual
        if of.kind == "integer":
            return draw.randint(int(low), int(high))
        return draw.uniform(float(low), float(high))

    return [{of.name: value(of) for of in contract.fields} for _ in range(number)]


def _progress(line: str) -> None:
    print(line, file=sys.stderr)


def judge(load: Load, settings: Settings) -> None:
    """Raise :class:`BenchError` for the first budget that a load has missed."""
    serving = settings.serving
    if load.statuses.keys() == {FAILED}:
        raise BenchError(f"Nothing answers at port {serving.port}: `mlops serve`.")
    if load.failures or not load.requests:
        raise BenchError(
            f"{load.failures} of {load.requests} requests failed: {dict(load.statuses)}."
        )
    if load.percentile(0.95) > serving.p95_ms:
        raise BenchError(
            f"serving.p95_ms: {load.percentile(0.95):.1f}, allowed is {serving.p95_ms:g}. {load}"
        )
    if load.per_second < serving.requests_per_s:
        raise BenchError(
            f"serving.requests_per_s: {load.per_second:.0f}, at least {serving.requests_per_s:g} "
            f"are needed. {load}"
        )
