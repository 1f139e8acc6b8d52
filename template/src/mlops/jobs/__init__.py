"""A command of this project on a machine of the provider's: there for as long as it takes.

The machine gets this very commit and what the pipeline has written since, and no secret. What the
command changes of that comes back; models and data go through DVC's remote. The same call made
again, after the one before was killed, goes on watching the same job.
"""

import hashlib
import json
import logging
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from .. import project
from ..cloud import open_store
from ..cloud.base import CloudError, ConflictError, Store
from ..errors import MlopsError, PipelineError
from ..lineage import changed, git, git_state
from ..settings import Settings, environment_name, load_settings
from . import parcel
from .base import Compute, Spec, Status

log = logging.getLogger("mlops")

POLL = 10.0  # seconds between two looks
PATIENCE = 6  # looks in a row that may fail
LAST = 10  # lines that a failure's message repeats
MEANINGS = {3: "the data was rejected", 4: "training did not converge", 5: "a gate refused"}

Say = Callable[[str], None]


def run(
    command: list[str],
    timeout: int | None = None,
    spot: bool | None = None,
    say: Say = print,
    poll: float = POLL,
) -> None:
    """Run ``mlops COMMAND`` as a job of this environment, and bring back what it made.

    Args:
        command: such as ``["tune", "--apply"]``.
        timeout: seconds after which it is ended, waiting for a machine included.
        spot: on spare capacity, which is cheaper and may be taken away.
        say: is told what the job prints.
        poll: seconds between two looks.

    Raises:
        MlopsError: the job could not run this commit, or not be reached by what it needs.
        PipelineError: with the command's exit code, 124 after ``timeout``, or 1.
    """
    environment, settings = environment_name(), load_settings()
    request = _request(command, settings)
    timeout = timeout or settings.training.timeout
    spot = settings.training.spot if spot is None else spot
    store = open_store(settings, environment)
    module = import_module(f".{project.PROVIDER}", __name__)
    compute: Compute = module.open_compute(settings, environment)
    claim = f"jobs/{_digest(request, environment)}"
    name = _claim(store, claim)
    spec = Spec(
        name=name,
        command=["python", "-m", "mlops.jobs.inside", f"jobs/{name}"],
        variables=_variables(settings, environment),
        spot=spot,
        timeout=timeout,
        tags={"project": project.NAME, "environment": environment, "commit": request.commit},
    )
    job = ""
    try:
        _send(store, f"jobs/{name}", request)
        with _uninterrupted():
            job = compute.submit(spec)
        say(f"{name} on {project.PROVIDER}: mlops {' '.join(command)}")
        status, last = _watch(compute, job, spec, say, poll)
        _take(store, f"jobs/{name}", request)
        _judge(store, f"jobs/{name}", last, f"{status}: {compute.why(job)}")
    finally:
        if job:
            _try(compute.stop, job)
            _try(compute.remove, job)
        for file in (parcel.REQUEST, parcel.CODE, parcel.SENT, parcel.MADE, parcel.EXIT):
            _try(store.delete, f"jobs/{name}/{file}")
        _try(store.delete, claim)


def _request(command: list[str], settings: Settings) -> parcel.Request:
    """Return what is asked of the job.

    Raises:
        MlopsError: the code is not in a commit, or its storage is of this machine.
    """
    state = git_state()
    if not state.commit:
        raise MlopsError("There is no commit yet, and a job runs one: run `git commit` first.")
    if foreign := sorted({*changed()} - {*parcel.FILES}):
        raise MlopsError(
            f"Not committed: {', '.join(foreign[:5])}. A job runs a commit: run `git commit` first."
        )
    for name, place in parcel.places(settings.tracking_uri):
        if not place.is_absolute():
            raise MlopsError(
                f"{name} is {place} on this machine, which a job does not see: name a server or a "
                f"bucket (environments/{environment_name()}.yaml, .dvc/config)."
            )
    return parcel.Request(
        command=command,
        commit=state.commit,
        branch=state.branch,
        repository=state.repository,
        variables=_handed_on(settings),
        files=parcel.digests(),
    )


def _handed_on(settings: Settings) -> dict[str, str]:
    """Return the variables that change settings here, for there; secrets stay."""
    secret = {
        f"MLOPS_{name}".upper()
        for name, field in Settings.model_fields.items()
        if SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
    }
    keys = tuple(f"MLOPS_{name}".upper() for name in Settings.model_fields)
    known = {
        key: value for key, value in environ.items() if key.startswith(keys) and key not in secret
    }
    image = str(settings.cloud.get("job_image", ""))
    return known | {"MLOPS_IMAGE": image, "MLOPS_TRAINING__WHERE": "runner"}


def _variables(settings: Settings, environment: str) -> dict[str, str]:
    """Return what the container is started with: enough to open the store."""
    cloud = {
        f"{parcel.CLOUD}{key.upper()}": json.dumps(value) for key, value in settings.cloud.items()
    }
    return {"MLOPS_ENV": environment, **cloud}


def _digest(request: parcel.Request, environment: str) -> str:
    text = json.dumps([environment, request.model_dump()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _claim(store: Store, claim: str) -> str:
    """Return the name of the job of this request: one that is under way, or a new one."""
    name = f"{project.NAME[:20].rstrip('-')}-{secrets.token_hex(8)}"
    try:
        store.write(claim, name.encode(), tag="")
    except ConflictError:
        found = store.read(claim)
        name = found[0].decode() if found else name
    return name


def _send(store: Store, folder: str, request: parcel.Request) -> None:
    with TemporaryDirectory() as scratch:
        bundle = Path(scratch, parcel.CODE)
        git("bundle", "create", "--quiet", str(bundle), "HEAD", "--tags")
        store.upload(bundle, f"{folder}/{parcel.CODE}")
    store.write(f"{folder}/{parcel.SENT}", parcel.pack())
    store.write(f"{folder}/{parcel.REQUEST}", request.model_dump_json().encode())


def _watch(
    compute: Compute, job: str, spec: Spec, say: Say, poll: float
) -> tuple[Status, list[str]]:
    """Say what a job prints until it has ended; return how, and its last lines."""
    end, failures = time.monotonic() + spec.timeout, 0
    before: Status | None = None
    lines: list[str] = []
    while True:
        try:
            status = compute.status(job)
            if status != before:
                say(f"{spec.name} is {status}")
                before = status
            for line in islice(compute.log(job), len(lines), None):
                lines.append(line)
                say(line)
            if status not in ("waiting", "running"):
                return status, lines[-LAST:]
            failures = 0
        except CloudError:  # training goes on without us: one bad look is no reason to end it
            failures += 1
            if failures == PATIENCE:
                raise
        if time.monotonic() >= end:
            raise PipelineError(
                f"{spec.name} had {spec.timeout} s, waiting for a machine included, and was ended.",
                124,
            )
        time.sleep(poll)


def _take(store: Store, folder: str, request: parcel.Request) -> None:
    """Write what the job made into this repository: of a failed one too, which says why."""
    made = store.read(f"{folder}/{parcel.MADE}")
    if made is None:
        return
    if parcel.digests() != request.files:
        raise MlopsError(
            f"One of {', '.join(parcel.FILES)} was changed while the job ran: nothing of it was "
            "taken. Run it again: what it made is in DVC's remote."
        )
    parcel.unpack(made[0])


def _judge(store: Store, folder: str, last: list[str], why: str) -> None:
    """Bring the outputs of a command that succeeded; raise what one that failed says."""
    told = store.read(f"{folder}/{parcel.EXIT}")
    code = int(told[0]) if told else 1
    if told and code == 0:
        pull = [sys.executable, "-m", "dvc", "pull", "--quiet"]
        if subprocess.run(pull, check=False).returncode:
            raise PipelineError("The job is done, its outputs were not brought: DVC says why.", 1)
        return
    reason = f"exit code {code}: {MEANINGS.get(code, 'its log says why')}" if told else why
    raise PipelineError("\n  ".join([f"The job has failed ({reason}).", *last]), code or 1)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let an interrupt wait until a job's id is known, so that the job can be ended."""
    heard: list[int] = []
    ends = (signal.SIGINT, signal.SIGTERM)
    before = {end: signal.signal(end, lambda number, _: heard.append(number)) for end in ends}
    try:
        yield
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)
    if heard:
        signal.raise_signal(heard[0])


def _try(call: Callable[[str], None], name: str) -> None:
    """Call; what fails must not hide why the job ended, nor keep the rest from being removed."""
    try:
        call(name)
    except CloudError as error:
        log.warning("Not removed: %s", error)
