"""A container that runs once on each provider's machines; here its command is a process."""

import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from mlops.errors import MlopsError
from mlops.jobs.base import Compute, Spec

from clouds.conftest import ENVIRONMENT

LIMIT = 60  # seconds, after which what was waited for has failed
FOREVER = "import time; print('begun', flush=True); time.sleep(600)"  # one line: SageMaker's rule


@pytest.fixture
def compute(platform: Any) -> Compute:
    return open_compute(platform)


def open_compute(platform: Any) -> Any:
    """Return the provider's machines as another process would open them."""
    module = import_module(f"mlops.jobs.{platform.provider}")
    opened = module.open_compute(platform.settings(), ENVIRONMENT)
    opened.poll = 0.05
    return opened


def spec(code: str, name: str = "flight-delays-0123456789abcdef", **changes: Any) -> Spec:
    made = Spec(
        name=name,
        command=[sys.executable, "-u", "-c", code],
        variables={"MLOPS_ENV": ENVIRONMENT, "MLOPS_GIVEN": 'a "b" {c} $d'},
        spot=False,
        timeout=600,
        tags={"project": "flight-delays", "environment": ENVIRONMENT},
    )
    return made._replace(**changes)


def until(done: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < LIMIT
        time.sleep(0.05)


def ended(compute: Compute, job: str) -> str:
    """Return how a job has ended."""
    until(lambda: compute.status(job) not in ("waiting", "running"))
    return compute.status(job)


@pytest.mark.parametrize("spot", [False, True])
def test_a_command_runs_with_its_variables(compute: Compute, spot: bool) -> None:
    code = "import os; [print(n, os.environ['MLOPS_GIVEN']) for n in range(3)]"
    job = compute.submit(spec(code, spot=spot))
    assert ended(compute, job) == "succeeded"
    until(lambda: len([*compute.log(job)]) >= 3)
    lines = [line for line in compute.log(job) if line.endswith('a "b" {c} $d')]
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]


def test_lines_are_told_while_it_runs(compute: Compute) -> None:
    job = compute.submit(spec(FOREVER))
    until(lambda: "begun" in compute.log(job))
    assert compute.status(job) == "running"
    compute.stop(job)


def test_a_command_that_fails_has_failed_and_says_why(compute: Compute) -> None:
    job = compute.submit(spec("print('the last words'); raise SystemExit(5)"))
    assert ended(compute, job) == "failed"
    until(lambda: "the last words" in compute.log(job))
    assert compute.why(job)


def test_the_same_name_is_not_started_twice(platform: Any, compute: Compute) -> None:
    job = compute.submit(spec(FOREVER))
    made = len(platform.calls)
    for again in (compute, open_compute(platform)):
        assert again.submit(spec(FOREVER)) == job
    assert len(platform.calls) == made
    compute.stop(job)


def test_another_name_is_another_job(compute: Compute) -> None:
    one = compute.submit(spec("print('one')", name="flight-delays-1"))
    other = compute.submit(spec("print('other')", name="flight-delays-10"))
    assert one != other
    for job, line in ((one, "one"), (other, "other")):
        assert ended(compute, job) == "succeeded"
        until(lambda job=job, line=line: [*compute.log(job)] == [line])  # type: ignore[misc]


def test_a_job_that_is_stopped_has_ended(compute: Compute) -> None:
    job = compute.submit(spec(FOREVER))
    until(lambda: "begun" in compute.log(job))
    for _ in range(2):
        compute.stop(job)
        # A Job of Kubernetes that is stopped is one that has failed.
        assert compute.status(job) in ("stopped", "failed")


def test_stopping_leaves_what_has_ended_alone(compute: Compute) -> None:
    job = compute.submit(spec("print('done')"))
    assert ended(compute, job) == "succeeded"
    compute.stop(job)
    assert compute.status(job) == "succeeded"


def test_a_job_that_takes_too_long_is_ended(compute: Compute) -> None:
    job = compute.submit(spec(FOREVER, timeout=1))
    assert ended(compute, job) in ("failed", "stopped")
    assert compute.why(job)


def test_removing_leaves_nothing(platform: Any, compute: Compute) -> None:
    before = sorted(platform.left())
    running = compute.submit(spec(FOREVER, name="flight-delays-1"))
    done = compute.submit(spec("print('done')", name="flight-delays-2"))
    assert ended(compute, done) == "succeeded"
    for _ in range(2):
        for job in (running, done):
            compute.remove(job)
    # What the platform keeps for nothing, a record, may stay; nothing of it runs.
    assert all(one not in sorted(platform.left()) for one in (running, done))
    assert len(platform.left()) == len(before)


def submissions(platform: Any) -> list[str]:
    compute = open_compute(platform)
    platform.calls.clear()
    job = compute.submit(spec("print('done')"))
    names = list(dict.fromkeys(platform.calls))
    ended(compute, job)
    platform.reset()
    return names


def test_throttling_is_waited_for(platform: Any) -> None:
    for name in submissions(platform):
        platform.reset()
        platform.fail(name, 1, "throttle")
        compute = open_compute(platform)
        assert ended(compute, compute.submit(spec("print('done')"))) == "succeeded"


@pytest.mark.parametrize("kind", ["error", "expired", "denied", "quota"])
def test_what_is_refused_is_said_and_leaves_nothing(platform: Any, kind: str) -> None:
    for name in submissions(platform):
        platform.reset()
        before = sorted(platform.left())
        platform.fail(name, 1000, kind)
        compute = open_compute(platform)
        with pytest.raises(MlopsError) as refused:
            compute.submit(spec("print('done')"))
        said = f"{kind} of {name}: {refused.value}"
        assert f"environments/{ENVIRONMENT}.yaml" in said
        platform.fail(name, 0, kind)
        assert sorted(platform.left()) == before, said
        assert ended(compute, compute.submit(spec("print('done')"))) == "succeeded"
