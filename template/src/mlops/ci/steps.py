"""What jobs do beside the everyday commands: refuse early, hand over, propose, start."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import urlsplit

from .. import candidate, project
from ..candidate import NoNewDataError
from ..errors import MlopsError
from ..lineage import OUTPUTS, changed, commit, git, git_state, keep
from ..registry import Version, open_registry
from ..registry.base import TRIGGER, champion, find
from ..settings import Paths, load_settings
from .forge import Forge
from .variables import VARIABLES, Job, asked

Say = Callable[[str], None]

RELEASE = Path("release.env")  # hands a version on to later jobs; the Makefile reads it
# What a job may commit: the pipeline's own outputs, and the parameters that made them.
PIPELINE = {*OUTPUTS, "params.yaml"}


def ready(job: Job) -> None:
    """Refuse a job that could only fail later, before it does anything.

    Raises:
        MlopsError: naming every variable that is missing, and storage that no other job sees.
    """
    # A provider keeps what stands where; only this machine needs a folder for it.
    elsewhere = {"MLOPS_DEPLOYMENTS"} if load_settings().target != "local" else set()
    faults = [
        f"{name} is not set ({VARIABLES[name].help})"
        for name in VARIABLES
        if name not in elsewhere
        and job in VARIABLES[name].needed
        and not os.environ.get(name)
        and asked(name)
    ]
    faults += [f"{name} is {place}, which no other job sees" for name, place in _own_places(job)]
    if faults:
        raise MlopsError(
            f"{job}: {'; '.join(faults)}. Set variables on the platform (`make ci-verify` says "
            "which and where), and name a server, a bucket, or an absolute path on a runner that "
            "stays."
        )


def _own_places(job: Job) -> Iterator[tuple[str, str]]:
    """Yield the places of storage that lie in this checkout or beside it."""
    settings, config = load_settings(), ConfigParser(interpolation=None)
    config.read(".dvc/config", encoding="utf-8")
    remotes = {config.get("core", "remote", fallback=""), *([settings.remote] * (job == "release"))}
    places = {f"DVC's remote {one}": _url(config, one) for one in sorted(remotes)}
    if project.REGISTRY == "mlflow":
        places = {"tracking_uri": settings.tracking_uri, **places}
    yield from ((name, place) for name, place in places.items() if _own(place))


def _url(config: ConfigParser, remote: str) -> str:
    return config.get(f"'remote \"{remote}\"'", "url", fallback="not in .dvc/config")


def _own(place: str) -> bool:
    """Tell whether a place is relative to this checkout."""
    path = place.removeprefix("sqlite:///")
    return not Path(path).is_absolute() and (path != place or not urlsplit(place).scheme)


def share(forge: Forge, say: Say) -> None:
    """Push data, models and what was run, so that no other job and nobody runs it again."""
    if forge.fork():
        say("A fork's results stay with it: it has no right to the team's storage.")
        return
    _dvc("push", "--run-cache", "--quiet")


def publish(forge: Forge, workflow: str, say: Say) -> None:
    """Commit what the pipeline has changed, on a branch of its own, and propose it to main.

    A version names its commit, so what it was made from must be in one. Nothing has changed where
    the author committed dvc.lock. Only the pipeline's outputs and params.yaml are committed.

    Raises:
        MlopsError: an output is missing, something else has changed, or git refuses.
    """
    if lost := sorted(path for path in OUTPUTS if not Path(path).is_file()):
        raise MlopsError(f"{', '.join(lost)}: not handed over by the job that trained.")
    _dvc("pull", "--quiet")
    paths = changed()
    if not paths:
        say("dvc.lock is that of this commit: there is nothing to commit.")
        return
    if foreign := sorted(set(paths) - PIPELINE):
        raise MlopsError(
            f"{', '.join(foreign)} changed too: only {', '.join(sorted(PIPELINE))} may."
        )
    title = f"Model of {workflow}, {git_state().commit[:10]}"
    url = propose(forge, f"mlops/{workflow}", paths, title, _report())
    tag = keep()
    push(forge, f"refs/tags/{tag}")
    say(f"Committed as {tag}: {url}")


def propose(forge: Forge, branch: str, paths: list[str], title: str, body: str) -> str:
    """Commit ``paths``, push them as ``branch``, and open or refresh its pull request."""
    commit(paths, title)
    push(forge, f"+HEAD:refs/heads/{branch}")  # the pipeline's own branch
    return forge.propose(branch, title, body)


def push(forge: Forge, *references: str) -> None:
    """Push to origin with the job's own rights."""
    command = ["git", "push", "--quiet", "origin", *references]
    environment = os.environ | forge.credentials()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MlopsError(f"git push {' '.join(references)}: {done.stderr.strip()}")


def version(forge: Forge) -> Version:
    """Tag the candidate's version deploy-trigger, and hand it on in release.env."""
    record = candidate.verified(Paths())
    made = [one for one in open_registry(load_settings()).list() if one.digest == record.model][-1]
    open_registry(load_settings()).annotate(made.number, {f"tag.{TRIGGER}": forge.run_url()})
    if project.REGISTRY == "gto":
        share_tags(forge)
    RELEASE.write_text(f"VERSION={made.number}\n", encoding="utf-8")
    return made


def share_tags(forge: Forge) -> None:
    """Push tags: a registry that is in git, and the commits that versions name."""
    push(forge, "--tags", "--force")


def plan(number: int) -> Version:
    """Pin the version that this pipeline releases, and hand it on in release.env.

    Raises:
        GateError: its gate record is not genuine, or a refusal.
        MlopsError: there is no such version, or no challenger.
    """
    registry = open_registry(load_settings())
    challenger = registry.alias(candidate.CHALLENGER)
    if not number and challenger is None:
        raise MlopsError("There is no challenger: name a version, or let integrate register one.")
    found = find(registry, number or challenger.number)  # type: ignore[union-attr]
    candidate.verify_version(found.number)
    RELEASE.write_text(f"VERSION={found.number}\n", encoding="utf-8")
    return found


def start(forge: Forge, workflow: str, number: int, say: Say) -> None:
    """Start the pipeline that releases a version, unless it is the last environment's champion."""
    registry = open_registry(load_settings())
    last = registry.alias(champion(project.ENVIRONMENTS[-1]))
    if last and last.number == number:
        say(f"Version {number} is {project.ENVIRONMENTS[-1]}'s champion already.")
        return
    say(f"Version {number}: {forge.start(workflow, {'version': str(number)})}")


def retrain(reason: str, last: str, say: Say) -> None:
    """Make a candidate with the next data; without any, judge the present model again."""
    os.environ["MLOPS_REASON"] = reason
    os.environ["MLOPS_KIND"] = "retraining-baseline"
    load_settings()  # refuses an unknown reason before anything is changed
    try:
        last = candidate.following(last)
    except NoNewDataError as error:
        say(f"{error} The present model is judged again.")
        candidate.reproduce()
        return
    say(f"Data up to {last}")
    candidate.attempt(data={"last": last}, train={"parent": 0})


def template(forge: Forge, say: Say) -> None:
    """Take in the template's improvements and propose them; a clash is for people to settle.

    Raises:
        MlopsError: Copier failed, or there are clashes: the pull request shows them.
    """
    command = ["uvx", "copier", "update", "--defaults", "--skip-answered", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MlopsError(f"{shlex.join(command)}: {done.stderr.strip()}")
    if not changed():
        say("The template has nothing new.")
        return
    clashes = git("diff", "--name-only", "--diff-filter=U").splitlines()
    body = "Improvements of the template." + "".join(f"\n- clash: {path}" for path in clashes)
    say(propose(forge, "mlops/template", ["."], "Update from the template", body))
    if clashes:
        raise MlopsError(f"Clashes, marked in the files of the pull request: {', '.join(clashes)}.")


def _report() -> str:
    path = Paths().reports / "report.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _dvc(*arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    if subprocess.run(command, check=False).returncode:
        raise MlopsError(f"dvc {shlex.join(arguments)} failed: DVC says why above.")
