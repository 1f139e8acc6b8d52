"""From a trained candidate to a registered challenger, and from there to champion."""

import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from . import convert, gates, pipeline, project, report
from .errors import GateError, MlopsError, PipelineError
from .gates import Record
from .lineage import Lineage, data_versions, git, git_state, sha256
from .registry import Version, open_registry
from .registry.base import champion, find, released
from .registry.base import promote as name_champion
from .scorer import SERVED
from .settings import (
    Params,
    Paths,
    edit_params,
    environment_name,
    in_pipeline,
    load_gates,
    load_params,
    load_settings,
)
from .tracking import Tracker

CHALLENGER = "challenger"
RECORD = "gates.json"
CACHE = Path("models/registry")


class NoNewDataError(MlopsError):
    """The source holds nothing newer than what the model was trained on."""


def reproduce(timeout: int | None = None, until: str = "", anew: str = "") -> None:
    """Run what has changed of the pipeline; on a CI platform, only what no other job has run.

    Where the environment trains in jobs, a job does it, and its outputs are brought here.

    Args:
        timeout: seconds after which it is ended.
        until: the last stage; all of them if empty.
        anew: a stage that runs even if nothing has changed.

    Raises:
        MlopsError: with the exit code of the stage that failed, or 124 after ``timeout`` seconds.
    """
    options = {"--until": until, "--anew": anew}
    given = [word for name, value in options.items() if value for word in (name, value)]
    if submitted("pipeline", *given, timeout=timeout):
        return
    bring_parent(load_params(), Paths())
    pipeline.forget(Paths())
    command = [sys.executable, "-m", "dvc", "repro"]
    known = [*command, "--pull"] if in_pipeline() else command
    calls = [[*known, *([until] if until else [])]]
    if anew:
        calls = [[*known, anew], [*command, "--force", "--single-item", anew], *calls]
    try:
        codes = (subprocess.run(call, timeout=timeout, check=False).returncode for call in calls)
        failed = any(codes)
    except subprocess.TimeoutExpired:
        raise PipelineError(
            f"The pipeline ran longer than {timeout} s and was ended.", 124
        ) from None
    if failed:
        raise pipeline.failure(Paths()) or PipelineError("The pipeline stopped: DVC says why.", 1)


def submitted(*command: str, timeout: int | None = None) -> bool:
    """Run a command as a job if the environment trains in jobs; tell whether it does."""
    if load_settings().training.where != "job":
        return False
    import_module(".jobs", __package__).run(list(command), timeout)
    return True


def sample(share: float) -> Path:
    """Run the whole pipeline on a share of the records, below build/sample; return that folder."""
    params, folder = load_params(), Path("build/sample")
    params = Params.model_validate(
        params.model_dump() | {"data": params.data.model_dump() | {"sample": share}}
    )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bring_parent(params, Paths(folder))
    pipeline.run(params, Paths(folder))
    return folder


def bring_parent(params: Params, paths: Paths) -> None:
    """Put the version that training starts from, if any, where the pipeline looks for it."""
    if params.train.parent:
        shutil.copytree(fetch(params.train.parent), paths.parent, dirs_exist_ok=True)


def judge(paths: Paths) -> Record:
    """Gate the candidate against the champions, and write the record and the report.

    The verdict is in the record: a refusal is not raised here, so that there is a report to read.
    """
    settings, limits, params = load_settings(), load_gates(), load_params()
    lineage = Lineage.read(paths.model)
    registry, environment = open_registry(settings), environment_name()
    rivals = {
        version.number: fetch(version.number)
        for version in released(registry, environment, limits.champion.released)
    }
    test = paths.prepared / "test.parquet"
    record = gates.judge(paths.model, test, limits, params.seed, rivals)
    record = record.sign(gates.signing_key(settings))
    paths.gates.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    report.write(record, paths, next(iter(rivals.values()), None))
    with Tracker.resume(lineage.run, settings) as run:
        run.tags({"gate": "passed" if record.passed else "refused"})
        for path in (paths.gates, Path("gates.yaml"), paths.reports / "report.html"):
            run.files(path)
    return record


def register(paths: Paths) -> Version:
    """Register the candidate as the challenger; the first of all becomes dev's champion.

    Raises:
        GateError: the record is missing, edited, about another model, stale, or a refusal.
        MlopsError: something is not committed, so that the version could not be made again.
    """
    settings = load_settings()
    record = verified(paths)
    registry = open_registry(settings)
    for version in registry.list():
        if version.digest == record.model and version.tags.get("code") == record.code:
            return version
    committed()
    lineage = Lineage.read(paths.model)
    facts: dict[str, Any] = {
        "digest": record.model,
        "commit": git("rev-parse", "HEAD"),
        "branch": lineage.git.branch,
        "run": lineage.run,
        "lock": lineage.lock,
        "parent": lineage.parent,
        "reason": lineage.reason,
        "team": lineage.team,
        "gate": "passed",
        "signature": record.signature,
        "code": record.code,
        **{f"data.{path}": md5 for path, md5 in data_versions().items()},
        **{f"metric.{name}": value for name, value in record.scores["challenger"].items()},
    }
    made = registry.register(assemble(paths, record), facts)
    registry.set_alias(CHALLENGER, made.number)
    if registry.alias(champion("dev")) is None:
        name_champion(registry, made.number, "dev")
    return find(registry, made.number)


def promote(number: int, environment: str) -> Version:
    """Name a version champion of an environment that is not protected.

    Raises:
        GateError: the version's record was edited, or does not belong to its model.
        MlopsError: the environment is protected, or there is no such version.
    """
    settings = load_settings(environment)
    if settings.protected:
        raise MlopsError(
            f"{environment} is protected: its champion changes by a release only "
            f"(environments/{environment}.yaml)."
        )
    verify_version(number)
    registry = open_registry(settings)
    name_champion(registry, number, environment)
    return find(registry, number)


def verify_version(number: int) -> Record:
    """Return a version's record; raise :class:`GateError` unless it is genuine and a pass."""
    folder = fetch(number)
    record = Record.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
    record.verify(gates.signing_key(load_settings()), sha256(folder / SERVED))
    return record


def following(last: str) -> str:
    """Return ``last``, or the period after the one that params.yaml ends with."""
    available = project.data.periods()
    present = load_params().data.last
    if last:
        return last
    new = available[available.index(present) + 1 :] if present in available else available
    if not new:
        raise NoNewDataError(f"The source holds nothing after {present}: there is no new data.")
    return new[0]


def champion_number() -> int:
    """Return the number of the environment's champion, to start from."""
    current = open_registry(load_settings()).alias(champion(environment_name()))
    if current is None:
        raise MlopsError("There is no champion to start from: register a first model.")
    return current.number


def attempt(**sections: dict[str, Any]) -> None:
    """Run the pipeline with changed sections of params.yaml, which is as before if that fails."""
    path = Path("params.yaml")
    before = path.read_text(encoding="utf-8")
    for section, values in sections.items():
        edit_params(section, values)
    try:
        reproduce()
    except MlopsError:
        path.write_text(before, encoding="utf-8")
        raise


def verified(paths: Paths) -> Record:
    """Return the candidate's record, once it is known to be genuine, current and a pass."""
    if not paths.gates.is_file():
        raise GateError("record.missing: no gate has seen this model: run `make candidate`.")
    try:
        record = Record.model_validate_json(paths.gates.read_text(encoding="utf-8"))
    except ValueError as error:
        raise GateError(f"record.signature: the gate record is unreadable: {error}") from error
    served = paths.model / SERVED
    if not served.is_file():
        raise MlopsError(f"{served} is missing: run `make candidate`.")
    record.verify(gates.signing_key(load_settings()), sha256(served))
    if gates.digest(load_gates()) != record.gates:
        raise GateError("record.gates: gates.yaml has changed since: run `make candidate` again.")
    current = open_registry(load_settings()).alias(champion(environment_name()))
    itself = current is not None and current.digest == record.model
    if not itself and (current.number if current else None) != record.champion:
        raise GateError(
            f"record.champion: the model was judged against champion {record.champion}, which is "
            f"now {current.number if current else None}: run `make candidate` again."
        )
    if sha256(paths.prepared / "test.parquet") != record.data:
        raise GateError("record.data: the data has changed since: run `make candidate` again.")
    return record


def committed() -> None:
    """Refuse to go on unless this very model can be made again from a commit."""
    if not git_state().commit:
        raise MlopsError("There is no commit yet, and a version names one: commit, then register.")
    changed = git("status", "--porcelain", "--untracked-files=all").splitlines()
    if changed:
        shown = ", ".join(line[3:] for line in changed[:5])
        raise MlopsError(
            f"Not committed: {shown}{' and more' if len(changed) > 5 else ''}. A version must be "
            "reproducible from its commit: run `git add --all && git commit`, then `make register`."
        )
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    status = subprocess.run(command, capture_output=True, text=True, check=False)
    if status.returncode or json.loads(status.stdout or "{}"):
        raise MlopsError(
            "The pipeline's outputs are not those of this commit: run `make candidate`, commit, "
            "then `make register`."
        )


def fetch(number: int) -> Path:
    """Return the folder of a version's files, brought here unless they are here, and whole.

    Raises:
        GateError: the registry's own files are not those that were registered.
    """
    registry = open_registry(load_settings())
    version = find(registry, number)
    # The record is the version's own: another registry's version of this number has another.
    folder = CACHE / f"{number}-{version.tags['signature'][:12]}"
    if not holds(folder, version):
        brought = registry.get(number, CACHE / "incoming")
        if not holds(brought, version):
            raise GateError(f"record.model: version {number} is not the model that was registered.")
        shutil.rmtree(folder, ignore_errors=True)
        brought.rename(folder)
    return folder


def holds(folder: Path, version: Version) -> bool:
    """Tell whether ``folder`` holds the very model of ``version``."""
    served = folder / SERVED
    return served.is_file() and sha256(served) == version.digest


def assemble(paths: Paths, record: Record) -> Path:
    """Return the folder that is registered: the model with its record and report."""
    folder = CACHE / "next"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(paths.model, folder)
    (folder / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    for name in ("report.md", "report.html"):
        shutil.copy(paths.reports / name, folder / name)
    return folder


def convert_again(folder: Path) -> str:
    """Convert a model's trained form again; say whether the served form is the same, to the bit."""
    lineage = Lineage.read(folder)
    again = convert.to_onnx(convert.load(folder), lineage.inputs)
    if again != (folder / SERVED).read_bytes():
        raise MlopsError(f"{folder / SERVED} is not what its trained form converts to.")
    return f"{folder / SERVED}: {len(again):,} bytes, converted again to the same."
