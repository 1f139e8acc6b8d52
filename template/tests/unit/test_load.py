import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from mlops.contract import Contract
from mlops.serve import load
from mlops.serve.load import BenchError, Load
from mlops.settings import Paths, Serving, Settings

Respond = Callable[[int, str], bytes | None]  # None: the connection is cut


def answer(status: int, told: object, chunked: bool = False) -> bytes:
    body = json.dumps(told).encode()
    if chunked:
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:3], body[3:]))
        return b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % (status, pieces)
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def served(respond: Respond, work: Callable[[str], Awaitable[Load]]) -> Load:
    """Do the work against a server that answers so."""

    async def main() -> Load:
        numbers = count()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    length = int(head.split("content-length: ")[1].split("\r\n")[0])
                    await reader.readexactly(length)
                    told = respond(next(numbers), head)
                    if told is None:
                        break
                    writer.write(told)
            except asyncio.IncompleteReadError:
                pass
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await work(f"http://127.0.0.1:{port}/predict")

    return asyncio.run(main())


def test_counts() -> None:
    def respond(number: int, head: str) -> bytes | None:
        if number % 10 == 0:
            return None
        status = 500 if number % 10 == 1 else 200
        return answer(status, {"version": "1" if number % 2 else "2"}, chunked=number % 3 == 0)

    found = served(respond, lambda url: load.run(url, [b"{}"], requests=100, connections=3))
    assert found.requests == 100
    assert found.statuses == {200: 80, 500: 10, load.FAILED: 10}
    assert found.failures == 20
    assert found.versions == {"1": 50, "2": 40}
    assert len(found.latencies) == 90
    assert "100 requests, 20 failed" in str(found)


def test_a_caller_keeps_its_name() -> None:
    def respond(number: int, head: str) -> bytes:
        return answer(200, {"version": head.split("x-caller: ")[1].split("\r\n")[0][-1]})

    found = served(
        respond,
        lambda url: load.run(url, [b"{}"], requests=30, connections=2, callers=["c1", "c2"]),
    )
    assert found.callers == {"c1": {"1"}, "c2": {"2"}}


def test_bounds() -> None:
    found = served(
        lambda number, head: answer(200, {}),
        lambda url: load.run(url, [b"{}"], seconds=0.3, rate=100, connections=2),
    )
    assert 0 < found.requests <= 31
    with pytest.raises(ValueError, match="a load has an end"):
        asyncio.run(load.run("http://127.0.0.1:1/", [b""]))


def test_nobody_listens() -> None:
    found = asyncio.run(load.run("http://127.0.0.1:1/", [b"{}"], requests=3))
    assert found.statuses == {load.FAILED: 3}
    assert found.per_second == found.percentile(0.99) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"statuses": {200: 999, 503: 1}}, "1 of 1000 requests failed"),
        ({"statuses": {}}, "0 of 0"),
        ({"latencies": [80.0] * 1000}, r"serving\.p95_ms: 80\.0, allowed is 50"),
        ({"seconds": 10.0}, r"serving\.requests_per_s: 100, at least 200"),
    ],
)
def test_budgets(change: dict[str, object], words: str) -> None:
    from collections import Counter

    good = Load(seconds=1.0, statuses=Counter({200: 1000}), latencies=[1.0] * 1000)
    settings = Settings(serving=Serving(p95_ms=50, requests_per_s=200))
    load.judge(good, settings)
    for name, value in change.items():
        setattr(good, name, Counter(value) if name == "statuses" else value)
    with pytest.raises(BenchError, match=words):
        load.judge(good, settings)


def test_the_usual_is_drawn_from_what_training_saw(home: Path) -> None:
    contract = Contract.read(Paths().model)
    drawn = load.usual(contract, 50)
    assert drawn == load.usual(contract, 50)
    assert {record["colour"] for record in drawn} == {"red", "blue"}
    assert all(isinstance(record["count"], int) for record in drawn)
    assert len({record["size"] for record in drawn}) == 50


def test_callers_call_while_the_block_runs(
    candidate: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def respond(number: int, head: str) -> bytes | None:
        seen.append(head)
        return answer(200, {"version": "1"})

    async def work(url: str) -> Load:
        port = int(url.split(":")[2].split("/")[0])
        settings = Settings(serving=Serving(port=port, auth="off"))
        monkeypatch.setattr(load, "load_settings", lambda environment: settings)
        with load.callers("staging", 1000, candidate.model):
            while len(seen) < 20:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        count = len(seen)
        await asyncio.sleep(0.2)
        assert len(seen) == count, "they go on after the block"
        return Load()

    served(respond, work)
    assert len({head.split("x-caller: ")[1].split("\r\n")[0] for head in seen}) > 10
