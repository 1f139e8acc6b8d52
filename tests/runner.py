"""Runs the jobs of GitHub's and Azure's pipelines on this machine, from their files.

Each job has a clone of its own, the variables that it maps and the artefacts that it downloads, and
nothing else. The checkout, the set-up, uploads and downloads are done here, as the platform's own
steps do them; what else is no script is left out, and listed.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from conftest import Project
from pipelines import (
    AZURE_CONDITIONS,
    CONDITIONS,
    STAGING,
    Job,
    azure_steps,
    expression,
    listed,
    read,
)
from platform_api import PlatformApi

# What this process may have, and a job would not.
OWN = re.compile(r"(AGENT|AZURE|BUILD|CI|GIT|MLOPS|PYTEST|PYTHON|SYSTEM|UV|VIRTUAL)")
# The unit tests are sampled; the tiers that run a pipeline or ask a service are whole.
PART = "-k 'test_pipeline or test_notebooks or test_server or test_candidate or system'"
# Azure's own version of the checkout and the set-up.
SETUP = {"Cache@2", "Set up"}


@dataclass
class Step:
    """A step as it is done here: run, upload or download; anything else is left out."""

    kind: str
    when: str = "success"
    script: str = ""
    env: dict[str, str] = field(default_factory=dict)
    name: str = ""
    paths: list[str] = field(default_factory=list)
    required: bool = True


def github_steps(job: Job) -> Iterator[Step]:
    """Yield the steps of a job of GitHub Actions."""
    for row in job.raw["steps"]:
        when = CONDITIONS[expression(row.get("if", ""))]
        action, given = row.get("uses", "").split("@")[0], row.get("with", {})
        name = given.get("name") or given.get("pattern", "")
        if "run" in row:
            yield Step("run", when, row["run"], job.settings | job.raw.get("env", {}))
        elif action == "actions/upload-artifact":
            must = given.get("if-no-files-found") == "error"
            yield Step("upload", when, name=name, paths=listed(given["path"]), required=must)
        elif action == "actions/download-artifact":
            yield Step("download", when, name=name, required="name" in given)
        elif action not in ("actions/checkout", "./.github/actions/setup"):
            yield Step(action, when)


def azure_devops_steps(job: Job) -> Iterator[Step]:
    """Yield the steps of a job of Azure Pipelines."""
    copied: list[str] = []
    for row in azure_steps(job.raw):
        when = AZURE_CONDITIONS[row.get("condition", "")]
        task, given = row.get("task", ""), row.get("inputs", {})
        must = str(row.get("continueOnError", "false")).lower() != "true"
        path = row.get("publish") or given.get("PathtoPublish")
        if path:
            name = row.get("artifact") or given["ArtifactName"]
            paths = copied if path == STAGING else [path]
            yield Step("upload", when, name=name, paths=paths, required=path != STAGING)
        elif task == "CopyFiles@2":
            copied = listed(given["Contents"])
        elif task == "DownloadPipelineArtifact@2":
            yield Step("download", when, name=given["artifactName"], required=must)
        elif "script" in row or "bash" in row:
            if row.get("displayName") not in SETUP:
                yield Step("run", when, row.get("script") or row["bash"], row.get("env", {}))
        elif "checkout" not in row and task not in SETUP:
            yield Step(task, when)


STEPS = {"github": github_steps, "azure-devops": azure_devops_steps}


# How a job knows that it is one.
PREDEFINED = {"github": {"CI": "true"}, "azure-devops": {"TF_BUILD": "True"}}


class Runner:
    """A platform with one project; ``said`` is what the jobs of the last run have printed."""

    def __init__(
        self,
        project: Project,
        api: PlatformApi,
        variables: dict[str, str],
        path: str = os.environ["PATH"],
    ) -> None:
        self.project, self.api, self.given, self.path = project, api, variables, path
        self.folder = project.root.parent
        self.token = "hush-hush"
        self.left_out: set[str] = set()
        self.workflow, self.change, self.said = "", False, ""
        self.inputs: dict[str, str] = {}
        self.ended: dict[str, str] = {}

    def run(self, workflow: str, change: bool = False, **inputs: str) -> dict[str, str]:
        """Run a workflow; return how each job ended: PASS, FAIL, SKIP, or WAIT for a person."""
        self.workflow, self.change, self.inputs, self.ended = workflow, change, inputs, {}
        for name in ("artefacts", "jobs"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        return self._go_on()

    def approve(self, approved: str) -> dict[str, str]:
        """Let a waiting job of the last run go on."""
        self.ended = {name: end for name, end in self.ended.items() if end in ("PASS", "FAIL")}
        return self._go_on(approved)

    def again(self, name: str) -> str:
        """Run one job of the last run again, with what those before it upload by now."""
        shutil.rmtree(self.folder / "artefacts", ignore_errors=True)
        jobs = self.jobs()
        for other in (other for other in jobs if self.ended[other] == "PASS" and other != name):
            for step in STEPS[self.api.platform](jobs[other]):
                if step.kind == "upload":
                    self._upload(step, jobs[other], self.folder / "jobs" / other)
        self.said = ""
        return self._job(name, jobs[name])

    def jobs(self) -> dict[str, Job]:
        """Return the jobs of the last run's workflow, as the working tree has them by now."""
        return read(self.project.root).workflows[self.workflow].jobs

    def _go_on(self, approved: str = "") -> dict[str, str]:
        """Run the jobs that have not run yet, in the order of their needs."""
        jobs, self.said = self.jobs(), ""
        while left := [n for n in jobs if n not in self.ended and jobs[n].needs <= {*self.ended}]:
            name = left[0]
            before = {self.ended[other] for other in jobs[name].needs}
            runs = {
                "success": before <= {"PASS"},
                "failure": "FAIL" in before,
                "always": "SKIP" not in before,
            }[jobs[name].when]
            if "WAIT" in before or (runs and jobs[name].approval and name != approved):
                self.ended[name] = "WAIT"
            else:
                self.ended[name] = self._job(name, jobs[name]) if runs else "SKIP"
        print(self.said)
        assert self.token not in self.said, "a token was printed"
        assert not self.api.unknown
        return dict(self.ended)

    def _job(self, name: str, job: Job) -> str:
        root = self.folder / "jobs" / name
        shutil.rmtree(root, ignore_errors=True)
        origin = str(self.folder / "origin.git")
        self.project.run("git", "clone", "--quiet", "--branch", "main", origin, str(root))
        settings = {key: value for key, value in os.environ.items() if not OWN.match(key)}
        settings |= self.api.variables(self.folder, self.change) | {
            # The set-up: the environment is there, and has the project of another folder in it.
            "UV_PROJECT_ENVIRONMENT": str(self.project.environment),
            "UV_NO_SYNC": "1",
            "PYTHONPATH": str(root / "src"),
            "PATH": self.path,
            # What other tests run in full is run in part here: it is the pipelines that are tested.
            **PREDEFINED[self.api.platform],
            "PYTEST_ADDOPTS": PART,
            "MYPY_CACHE_DIR": str(self.folder / "mypy"),
            "MLOPS_OFFLINE": "1",  # packages are not audited: their database may be out of reach
        }
        end = "PASS"
        for step in STEPS[self.api.platform](job):
            if step.when == "always" or (step.when == "failure") == (end == "FAIL"):
                env = {key: self._value(value, job) for key, value in step.env.items()}
                end = end if self._step(step, job, root, settings | env) else "FAIL"
        self.said += f"== {self.workflow}.{name}: {end}\n"
        return end

    def _step(self, step: Step, job: Job, root: Path, env: dict[str, str]) -> bool:
        if step.kind == "run":
            done = subprocess.run(
                ["bash", "-e", "-c", step.script],
                cwd=root,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            self.said += f"$ {step.script}\n{done.stdout}"
            return not done.returncode
        if step.kind == "upload":
            return self._upload(step, job, root) or not step.required
        if step.kind == "download":
            source = self.folder / "artefacts" / step.name
            if source.is_dir():
                shutil.copytree(source, root / job.places[step.name], dirs_exist_ok=True)
            else:
                self.said += f"There is no artefact {step.name}.\n"
            return source.is_dir() or not step.required
        self.left_out.add(step.kind)
        return True

    def _upload(self, step: Step, job: Job, root: Path) -> bool:
        """Keep what a job uploads; tell whether there was anything."""
        target = self.folder / "artefacts" / step.name
        base, found = root / job.roots[step.name], False
        for pattern in step.paths:
            for path in root.glob(re.sub(r"/$", "/**", pattern)):
                for file in [path] if path.is_file() else path.rglob("*"):
                    # A hidden file is not uploaded.
                    if file.is_file() and not re.search(r"/\.", str(file.relative_to(base))):
                        found = True
                        (target / file.relative_to(base)).parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy2(file, target / file.relative_to(base))
        return found

    def _value(self, value: str, job: Job) -> str:
        """Return the value of a variable that a job maps; it has those of its environment only."""
        mine, text = self.given if job.environment else {}, expression(value)
        if match := re.fullmatch(r"(?:secrets|vars)\.(\w+)|\$\((\w+)\)", text):
            return mine.get(match[1] or match[2], "")
        if match := re.fullmatch(r"inputs\.(\w+)(?: \|\| '?(\w+)'?)?", text):
            return self.inputs.get(match[1]) or match[2] or ""
        known = {
            "github.token": self.token,
            "github.workflow": self.workflow,
            "$(System.AccessToken)": self.token,
        }
        assert text in known or not re.search(r"\$[({]", value), f"{value} is not known here"
        return known.get(text, value)
