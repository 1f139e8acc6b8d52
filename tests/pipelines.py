"""A project's pipelines: read from its platform's files into one model, and compared in it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

# The pipelines' own files, as each platform's path filters name them.
OWN = {
    "github": {".github/**"},
    "gitlab": {".gitlab-ci.yml", ".gitlab/ci/*"},
    "azure-devops": {"azure-pipelines/**"},
}
# What jobs are told by a constant; the rest of their variables is the platform's plumbing.
SETTINGS = {"ENV", "UV_LOCKED"}
# Jobs that only one platform has, because what they call is that platform's.
EXTRA = {("github", "candidate", "scan")}
# Providers that jobs log in to; one platform has no documented way to one of them without a key.
CLOUDS = {"azure", "aws", "gcp"}
KEYED = {("azure-devops", "aws")}
# Where an image goes, and who signs it, is each platform's own.
OWN_WAY = {"container": {"token", "variables"}}
# What GitLab's files can't say: a job gets all variables of its environment, the token among them.
UNSAID = {"gitlab": {"inputs", "token", "variables"}}


@dataclass
class Job:
    """What a job does, in words that all platforms share."""

    needs: set[str] = field(default_factory=set)
    when: str = "success"  # or failure, always: of what it needs
    environment: str = ""
    approval: bool = False
    stays: bool = False  # on the runner that MLOPS_RUNNER names, if it names one
    run: list[str] = field(default_factory=list)
    uploads: dict[str, set[str]] = field(default_factory=dict)
    upload_when: str = "success"
    downloads: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)  # of VARIABLES, secrets among them
    inputs: dict[str, str] = field(default_factory=dict)  # variables, of what the starter gave
    settings: dict[str, str] = field(default_factory=dict)
    token: bool = False
    login: bool = False  # at the provider, by its own identity, unless it is a fork's
    timeout: int = 0
    prepared: bool = False  # it begins with the checkout and the set-up
    keeps: bool = False  # the checkout removes nothing that is there: a service runs from it
    # Not compared: what only some platforms have.
    workflow: str = field(default="", compare=False)  # the variable WORKFLOW
    secrets: set[str] = field(default_factory=set, compare=False)
    permissions: dict[str, str] = field(default_factory=dict, compare=False)
    identity: set[str] = field(default_factory=set, compare=False)  # variables of its login
    roots: dict[str, str] = field(default_factory=dict, compare=False)  # of uploads
    places: dict[str, str] = field(default_factory=dict, compare=False)  # of downloads
    raw: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def targets(self) -> list[str]:
        """The make targets it runs."""
        return [target for line in self.run for target in re.findall(r'make "?([\w$-]+)', line)]


@dataclass
class Workflow:
    """What starts it, what may run beside it, and its jobs."""

    on: dict[str, Any] = field(default_factory=dict)
    concurrency: str = ""  # newest: it ends the branch's older one; queue: it waits
    jobs: dict[str, Job] = field(default_factory=dict)
    permissions: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass
class Pipelines:
    """The workflows of a project, and its environments in order, with their approvals."""

    platform: str
    provider: str
    tags: bool  # a release adds some to git
    workflows: dict[str, Workflow]
    environments: dict[str, int]

    @property
    def keyless(self) -> bool:
        """Whether jobs log in to the provider."""
        return self.provider in CLOUDS and (self.platform, self.provider) not in KEYED

    def jobs(self) -> Iterator[tuple[str, str, Job]]:
        """Yield each job, after the names of its workflow and itself."""
        for name, workflow in self.workflows.items():
            for title, job in workflow.jobs.items():
                yield name, title, job


def load(path: Path) -> Any:
    """Return what a YAML file says."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def read(tree: Path) -> Pipelines:
    """Read the pipelines of a generated project."""
    answers = load(tree / ".copier-answers.yml")
    environments = {
        name: load(tree / f"environments/{name}.yaml").get("approvals", 0)
        for name in answers["environments"]
    }
    platform = answers["ci"]
    workflows = READERS[platform](tree)
    tags = answers["registry"] == "gto" or answers["promotion"] == "deploy-code"
    found = Pipelines(platform, answers["provider"], tags, workflows, environments)
    for name, workflow in found.workflows.items():
        for job in workflow.jobs.values():
            job.workflow = name if job.workflow == "its name" else job.workflow
            # Outside GitLab an approval belongs to the environment, not to a file.
            if found.platform != "gitlab" and {"deploy", "infra-apply"} & {*job.targets}:
                job.approval = environments.get(job.environment, 0) > 0
        asked = workflow.on.get("person", {})
        names = [*environments]
        asked |= {key: "environments" for key, value in asked.items() if value == names}
    return found


def filters(platform: str, names: list[str]) -> set[str]:
    """Return path filters as every platform could write them."""
    own = OWN[platform]
    return plain([name for name in names if name not in own]) | (
        {"the pipelines"} if own <= set(names) else set()
    )


def plain(names: list[str]) -> set[str]:
    """Return paths as every platform could write them: a folder is all that is in it."""
    return {re.sub(r"(/\*\*)?(/\*)?/?$", "", name) for name in names}


def given(env: dict[str, str]) -> dict[str, str]:
    """Return the variables that hold inputs, each with the input's name."""
    return {
        name: match[1]
        for name, value in env.items()
        if (match := re.match(r"inputs\.(\w+)", value))
    }


def listed(value: Any) -> list[str]:
    """Return the texts of a list, which YAML may give as one text, or as lines of one."""
    texts = value if isinstance(value, list) else str(value or "").splitlines()
    return [str(text) for text in texts]


def differences(one: Pipelines, other: Pipelines) -> list[str]:
    """Return what two platforms do differently, but for what only one of them has."""
    found = []

    def compare(name: str, left: Any, right: Any) -> None:
        if left != right:
            found.append(f"{name}: {left} on {one.platform}, {right} on {other.platform}")

    def own(pipelines: Pipelines, name: str) -> dict[str, Job]:
        jobs = pipelines.workflows[name].jobs
        return {job: jobs[job] for job in jobs if (pipelines.platform, name, job) not in EXTRA}

    unsaid = UNSAID.get(one.platform, set()) | UNSAID.get(other.platform, set())
    if one.keyless != other.keyless:
        unsaid = unsaid | {"login"}
    parts = {part.name for part in fields(Job) if part.compare} - unsaid
    compare("workflows", sorted(one.workflows), sorted(other.workflows))
    for name in sorted(one.workflows.keys() & other.workflows.keys()):
        left, right = one.workflows[name], other.workflows[name]
        compare(f"{name}.on", left.on, right.on)
        compare(f"{name}.concurrency", left.concurrency, right.concurrency)
        mine, theirs = own(one, name), own(other, name)
        compare(f"{name}.jobs", sorted(mine), sorted(theirs))
        for job in sorted(mine.keys() & theirs.keys()):
            for part in parts - OWN_WAY.get(job, set()):
                pair = getattr(mine[job], part), getattr(theirs[job], part)
                compare(f"{name}.{job}.{part}", *pair)
    return found


# GitHub Actions ---------------------------------------------------------------
CONDITIONS = {
    "": "success",
    "failure()": "failure",
    "!cancelled()": "always",
    # Where nothing was trained there is nothing to show.
    "!cancelled() && needs.train.result != 'skipped'": "always",
}
FORK = "github.event.pull_request.head.repo.fork"
IDENTITY = re.compile("(AWS|AZURE|GCP)_")
# A group of one branch, or of the repository; whether its older run is cancelled.
GROUPS = {
    ("${{ github.workflow }}-${{ github.ref }}", True): "newest",
    ("${{ github.workflow }}", False): "queue",
}


def expression(value: Any) -> str:
    """Return what stands inside ${{ }}."""
    return re.sub(r"^\$\{\{\s*(.*?)\s*\}\}$", r"\1", str(value))


def github_files(tree: Path) -> dict[str, Any]:
    """Return the workflows of .github/workflows, with the jobs of those they call in place."""
    files = {path.stem: load(path) for path in sorted((tree / ".github/workflows").glob("*.yml"))}
    for text in files.values():
        text["on"] = text.pop(True)  # YAML 1.1 takes `on` for a truth
    called = {name: files.pop(name) for name in list(files) if "workflow_call" in files[name]["on"]}
    for text in files.values():
        for name, row in text["jobs"].items():
            if "uses" in row:
                text["jobs"][name] = github_called(row, called[Path(row["uses"]).stem])
    return files


def github_called(row: dict[str, Any], text: dict[str, Any]) -> Any:
    """Return the one job of a called workflow, as its caller makes it."""
    (job,) = text["jobs"].values()
    passed, declared = row.get("secrets", {}), text["on"]["workflow_call"].get("secrets", {})

    def value(match: re.Match[str]) -> str:
        if match[1] == "inputs":
            return str(row["with"][match[2]])
        # No secret reaches a called workflow by itself, not even its environment's.
        return match[0] if match[2] in passed and match[2] in declared else "nothing"

    own = {"env": {**text.get("env", {}), **job.get("env", {})}}
    made = re.sub(r"\$\{\{ (inputs|secrets)\.(\w+) \}\}", value, yaml.safe_dump({**job, **own}))
    return {**yaml.safe_load(made), **{key: row[key] for key in ("needs", "if") if key in row}}


def github_login(tree: Path) -> set[str]:
    """Return the variables that the set-up logs a job in by; a fork's it never does."""
    steps = load(tree / ".github/actions/setup/action.yml")["runs"]["steps"]
    logins = [step for step in steps if step.get("if", "").endswith(f" && !{FORK}")]
    return set(re.findall(r"\benv\.(\w+)", yaml.safe_dump(logins)))


def github(tree: Path) -> dict[str, Workflow]:
    """Read .github/workflows."""
    login = github_login(tree)
    return {
        name: Workflow(
            on=github_triggers(text["on"]),
            concurrency=GROUPS.get(tuple(text.get("concurrency", {}).values()), ""),
            jobs={title: github_job(row, text, login) for title, row in text["jobs"].items()},
            permissions=text.get("permissions", {"": "all"}),
        )
        for name, text in github_files(tree).items()
    }


def github_triggers(on: dict[str, Any]) -> dict[str, Any]:
    """Return what starts a workflow."""
    found: dict[str, Any] = {}
    for event, row in on.items():
        match event:
            case "push":
                branches = {f"not {name}" for name in row.get("branches-ignore", [])}
                branches |= set(row.get("branches", []))
                found["push"] = branches, filters("github", row.get("paths", []))
            case "pull_request":
                found["change"] = set(row["branches"]), filters("github", row.get("paths", []))
            case "schedule":
                found["schedule"] = [entry["cron"] for entry in row]
            case "workflow_dispatch":
                inputs = (row or {}).get("inputs") or {}
                found["person"] = {name: github_choices(entry) for name, entry in inputs.items()}
            case _:
                found[event] = row
    return found


def github_choices(entry: dict[str, Any]) -> Any:
    """Return what an input may be, if not anything."""
    return "environments" if entry.get("type") == "environment" else entry.get("options")


def github_root(paths: list[str]) -> str:
    """Return the folder that upload-artifact takes paths relative to."""
    if len(paths) > 1:
        parts = [PurePosixPath(path).parts for path in paths]
        same = [part for part, *rest in zip(*parts, strict=False) if set(rest) == {part}]
        return str(PurePosixPath(*same))
    return paths[0].rstrip("/") if paths[0].endswith("/") else str(PurePosixPath(paths[0]).parent)


def github_job(row: dict[str, Any], text: dict[str, Any], login: set[str]) -> Job:
    """Read a job."""
    given_env = {**text.get("env", {}), **row.get("env", {})}
    env = {name: expression(value) for name, value in given_env.items()}
    steps = row["steps"]
    uses = [step.get("uses", "").split("@")[0] for step in steps]
    up = [step for name, step in zip(uses, steps, strict=True) if name.endswith("/upload-artifact")]
    down = [step["with"] for name, step in zip(uses, steps, strict=True) if "download-" in name]
    uploads = {step["with"]["name"]: listed(step["with"]["path"]) for step in up}
    whens = {CONDITIONS[expression(step.get("if", ""))] for step in up} or {"success"}
    places = {given.get("name") or given["pattern"]: given.get("path", ".") for given in down}
    named = set(re.findall(r"(?:vars|secrets)\.(\w+)", yaml.safe_dump(row))) - {"MLOPS_RUNNER"}
    variables = {name for name in env if re.match(r"(vars|secrets)\.", env[name])} | named
    identity = {name for name in variables if IDENTITY.match(name)}
    permissions = row.get("permissions", text.get("permissions", {"": "all"}))
    needs = row.get("needs", [])
    return Job(
        needs={needs} if isinstance(needs, str) else set(needs),
        when=CONDITIONS[expression(row.get("if", ""))],
        environment=expression(row.get("environment", "")),
        stays=expression(row["runs-on"]).startswith("vars.MLOPS_RUNNER ||"),
        run=[step["run"] for step in steps if "run" in step],
        uploads={name: plain(paths) for name, paths in uploads.items()},
        upload_when=", ".join(sorted(whens)),
        downloads=set(places),
        variables=variables - identity,
        inputs=given(env),
        settings={name: env[name] for name in SETTINGS & set(env) if "." not in env[name]},
        token=env.get("GITHUB_TOKEN") == "github.token",
        login=bool(login)
        and all(env.get(name) == f"vars.{name}" for name in login)
        and permissions.get("id-token") == "write",
        timeout=row.get("timeout-minutes", 0),
        prepared=uses[:2] == ["actions/checkout", "./.github/actions/setup"]
        and steps[0]["with"].items() >= {"fetch-depth": 0, "persist-credentials": False}.items(),
        keeps=steps[0].get("with", {}).get("clean") is False,
        workflow={"github.workflow": "its name"}.get(env.get("WORKFLOW", ""), ""),
        secrets=set(re.findall(r"secrets\.(\w+)", yaml.safe_dump(row))),
        permissions=permissions,
        identity=identity,
        roots={name: github_root(paths) for name, paths in uploads.items()},
        places=places,
        raw=row,
    )


# GitLab CI --------------------------------------------------------------------
BRANCH = '$CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH'
REQUEST = '$CI_PIPELINE_SOURCE == "merge_request_event" && $CI_MERGE_REQUEST_TARGET_BRANCH_NAME'
STARTS = {
    f'{BRANCH} && $CI_COMMIT_BRANCH != "main"': ("push", "not main"),
    f'{BRANCH} == "main"': ("push", "main"),
    f'{REQUEST} == "main"': ("change", "main"),
}
WHENS = {"on_success": "success", "on_failure": "failure", "always": "always"}


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return two mappings as one, as `extends` and `include` do; the other one wins."""
    both = {**one, **other}
    for key in one.keys() & other.keys():
        if isinstance(one[key], dict) and isinstance(other[key], dict):
            both[key] = merged(one[key], other[key])
    return both


def gitlab_file(tree: Path, name: str) -> dict[str, Any]:
    """Return a file, after what it includes."""
    text = load(tree / name)
    return merged(gitlab_file(tree, text["include"]) if "include" in text else {}, text)


def gitlab_jobs(text: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the jobs of a file, each after what it extends and the defaults."""

    def whole(row: dict[str, Any]) -> dict[str, Any]:
        return merged(whole(text[row["extends"]]) if "extends" in row else {}, row)

    words = {"default", "include", "variables", "workflow"}
    names = [name for name in text if name not in words and not name.startswith(".")]
    common = {**text.get("default", {}), "variables": text.get("variables", {})}
    return {name: merged(common, whole(text[name])) for name in names}


def gitlab(tree: Path) -> dict[str, Workflow]:
    """Read .gitlab-ci.yml, whose jobs are the workflows, and .gitlab/."""
    text = load(tree / ".gitlab-ci.yml")
    schedules = {row["workflow"]: [row["cron"]] for row in load(tree / ".gitlab/schedules.yaml")}
    found = {}
    for name, start in gitlab_jobs(text).items():
        (rule,) = start["rules"]
        on: dict[str, Any] = {"schedule": schedules[name]} if name in schedules else {}
        if rule["if"] == f'$WORKFLOW == "{name}" && $CI_COMMIT_BRANCH == "main"':
            on["person"] = gitlab_inputs(name, text["variables"])
        else:
            event, branch = STARTS[rule["if"]]
            changes = filters("gitlab", rule.get("changes", {}).get("paths", []))
            on[event] = {branch}, changes
        rows = gitlab_jobs(gitlab_file(tree, start["trigger"]["include"]))
        waits = {(True, False): "newest", (False, True): "queue"}
        kind = start.get("interruptible", False), start.get("resource_group") == name
        jobs = {title: gitlab_job(title, rows) for title in rows}
        found[name] = Workflow(on, waits.get(kind, ""), jobs)
    return found


def gitlab_inputs(workflow: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Return what a person is asked: a description begins with the workflows that it is for."""
    return {
        name.lower(): row.get("options")
        for name, row in variables.items()
        if workflow in row["description"].split(":")[0].split(", ")
    }


def gitlab_job(title: str, rows: dict[str, Any]) -> Job:
    """Read a job."""
    row = rows[title]
    needs = [need if isinstance(need, dict) else {"job": need} for need in row.get("needs", [])]
    if row.get("stage") == ".post" and "needs" not in row:
        fetched = row.get("dependencies", rows)
        needs = [{"job": name, "artifacts": name in fetched} for name in rows if name != title]
    kept = {name: rows[name]["artifacts"] for name in rows if "artifacts" in rows[name]}
    mine = kept.get(title, {})
    environment = row.get("environment", "")
    where = environment if isinstance(environment, str) else environment["name"]
    rules = row.get("rules", [{}])
    lines = [line.replace("$CI_ENVIRONMENT_NAME", where) for line in row["script"]]
    env = {name: str(value) for name, value in row["variables"].items() if name in SETTINGS}
    if told := {match[1] for line in lines if (match := re.search(r' ENV="([\w-]+)"$', line))}:
        env["ENV"] = " and ".join(sorted(told))
    return Job(
        needs={need["job"] for need in needs},
        when=WHENS[row.get("when", "on_success")],
        environment={"$ENVIRONMENT": "inputs.environment"}.get(where, where),
        approval=rules == [{"when": "manual", "allow_failure": False}],
        stays=row.get("tags") == ["$MLOPS_RUNNER"],
        run=[re.sub(r' ENV="[^"]*"$', "", line) for line in lines],
        uploads={mine["name"]: plain(mine["paths"])} if mine else {},
        upload_when=WHENS[mine.get("when", "on_success")],
        downloads={
            kept[need["job"]]["name"]
            for need in needs
            if need.get("artifacts", True) and need["job"] in kept
        },
        variables={
            name
            for variable, value in row["variables"].items()
            if re.match(r"\$(?!CI_)\w+$", value)
            for name in (variable, value[1:])
        },
        settings=env,
        timeout=int(row.get("timeout", "0 minutes").removesuffix(" minutes")),
        login="IDENTITY_TOKEN" in row.get("id_tokens", {})
        and any('"$IDENTITY_TOKEN" > .git/identity-token' in line for line in row["before_script"])
        and any("/.git/identity" in str(value) for value in row["variables"].values()),
        prepared="make setup" in row["before_script"] and row["variables"]["GIT_DEPTH"] == "0",
        keeps=row["variables"].get("GIT_CLEAN_FLAGS") == "none",
        raw=row,
    )


# Azure Pipelines --------------------------------------------------------------
AZURE_CONDITIONS = {
    "": "success",
    "failed()": "failure",
    "not(canceled())": "always",
    "and(not(canceled()), ne(dependencies.train.result, 'Skipped'))": "always",
}
NO_FORK = "and(succeeded(), ne(variables['System.PullRequest.IsFork'], 'True'))"
CHECKOUT = {
    "checkout": "self",
    "fetchDepth": "0",
    "fetchTags": "true",
    "persistCredentials": "false",
}
WORKSPACE, STAGING = "$(System.DefaultWorkingDirectory)", "$(Build.ArtifactStagingDirectory)"
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": lambda one, other: one == other,
    "ne": lambda one, other: one != other,
    "replace": lambda text, old, new: text.replace(old, new),
}
TOKEN = re.compile(r"\s*(?:'([^']*)'|(parameters\.\w+|variables\['[\w.]+'\])|(\w+)\(|([,)]))")


def evaluated(text: str, scope: dict[str, Any]) -> Any:
    """Return the value of a template expression."""
    tokens = TOKEN.finditer(text)

    def value() -> Any:
        literal, name, function, end = next(tokens).groups()
        if name:
            return scope.get(name.removeprefix("parameters."), "")
        if not function:
            return literal if end is None else end
        given: list[Any] = []
        while (one := value()) != ")":
            given += [one] if one != "," else []
        return FUNCTIONS[function](*given)

    return value()


class AzureFile:
    """A file of azure-pipelines/, with its templates in place and its expressions evaluated."""

    def __init__(self, path: Path, scope: dict[str, Any]) -> None:
        self.path, self.scope = path, scope
        self.text = load(path)
        for row in self.text.get("parameters", []):
            scope.setdefault(row["name"], row.get("default"))

    def __call__(self, node: Any) -> Any:
        """Return a part of the file as the platform will see it."""
        if isinstance(node, str):
            if whole := re.fullmatch(r"\$\{\{ (.*) \}\}", node):
                return evaluated(whole[1], self.scope)
            return re.sub(r"\$\{\{ (.*?) \}\}", lambda m: str(evaluated(m[1], self.scope)), node)
        if isinstance(node, dict):
            return dict(self.chosen(list(node.items())))
        if isinstance(node, list):
            return [part for row in node for part in self.row(row)]
        return node

    def chosen(self, pairs: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """Yield the entries of a mapping whose conditions hold."""
        taken = False
        for key, value in pairs:
            condition = re.fullmatch(r"\$\{\{ (?:if (.*)|(else)) \}\}", key)
            if not condition:
                yield key, self(value)
                continue
            taken = not taken if condition[2] else evaluated(condition[1], self.scope)
            yield from self(value).items() if taken else ()

    def row(self, row: Any) -> list[Any]:
        """Return what a row of a list stands for: itself, a template's rows, or a choice's."""
        if not isinstance(row, dict):
            return [self(row)]
        if "template" in row:
            given = self(row.get("parameters", {}))
            inner = AzureFile((self.path.parent / row["template"]).resolve(), given)
            (rows,) = (part for key, part in inner.text.items() if key != "parameters")
            return list(inner(rows))
        key = next(iter(row))
        if condition := re.fullmatch(r"\$\{\{ if (.*) \}\}", key):
            return list(self(row[key])) if evaluated(condition[1], self.scope) else []
        return [self(row)]


def azure_devops(tree: Path) -> dict[str, Workflow]:
    """Read azure-pipelines/."""
    slug = load(tree / ".copier-answers.yml")["project_slug"]
    found = {}
    for path in sorted((tree / "azure-pipelines").glob("*.yml")):
        # What a person gives stands as what it is: an input.
        asked = {row["name"]: row.get("values") for row in load(path).get("parameters", [])}
        file = AzureFile(path, {name: f"inputs.{name}" for name in asked})
        stages = file(file.text.get("stages", [{"jobs": file.text.get("jobs", [])}]))
        asked.pop("runner", None)
        found[path.stem] = Workflow(
            on=azure_triggers(file.text, asked),
            concurrency=azure_concurrency(file.text, stages),
            jobs=azure_jobs(stages, slug, file.text.get("pool", {})),
        )
    return found


def azure_triggers(text: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Return what starts a pipeline; a person may start those that nothing in the code does."""
    found: dict[str, Any] = {}
    if isinstance(text["trigger"], dict):
        branches = text["trigger"]["branches"]
        names = {f"not {name}" for name in branches.get("exclude", [])}
        names |= set(branches["include"]) - {"*"}
        found["push"] = names, filters("azure-devops", text["trigger"]["paths"]["include"])
    if isinstance(text["pr"], dict):
        paths = filters("azure-devops", text["pr"].get("paths", {}).get("include", []))
        found["change"] = set(text["pr"]["branches"]["include"]), paths
    if "schedules" in text:
        found["schedule"] = [row["cron"] for row in text["schedules"]]
    return found if {"push", "change"} & set(found) else {**found, "person": asked}


def azure_concurrency(text: dict[str, Any], stages: list[dict[str, Any]]) -> str:
    """Return what becomes of a run beside another."""
    working = [row for row in stages if row.get("stage") != "alert"]
    if all("sequential" in (row.get("lockBehavior"), text.get("lockBehavior")) for row in working):
        return "queue"
    change = text["pr"] if isinstance(text["pr"], dict) else {}
    push = text["trigger"] if isinstance(text["trigger"], dict) else {}
    return "newest" if change.get("autoCancel") or push.get("batch") else ""


def azure_jobs(stages: list[dict[str, Any]], slug: str, pool: dict[str, str]) -> dict[str, Job]:
    """Read the jobs of all stages. What a stage comes after, its jobs do."""
    of = {row.get("stage"): {azure_title(job) for job in row["jobs"]} for row in stages}
    found: dict[str, Job] = {}
    previous: list[Any] = []
    for stage in stages:
        before = listed(stage.get("dependsOn", previous))
        after, previous = {job for name in before for job in of[name]}, [stage.get("stage")]
        for row in stage["jobs"]:
            job = azure_job({"pool": pool, **row}, slug)
            job.needs |= after
            if "condition" in stage:
                job.when = AZURE_CONDITIONS[stage["condition"]]
            found[azure_title(row)] = job
    return found


def azure_title(row: dict[str, Any]) -> str:
    """Return the name of a job or a deployment."""
    return str(row.get("job") or row["deployment"])


def azure_steps(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of a job, or of a deployment that runs once."""
    if "steps" in row:
        return list(row["steps"])
    first, *rest = row["strategy"]["runOnce"]["deploy"]["steps"]
    # A deployment downloads everything, unless it is told not to.
    return rest if first == {"download": "none"} else [first, *rest]


def azure_job(row: dict[str, Any], slug: str) -> Job:
    """Read a job."""
    steps = azure_steps(row)
    groups = [
        part["group"].removeprefix(f"{slug}-")
        for part in row.get("variables", [])
        if "group" in part
    ]
    if "environment" in row:  # of a deployment; its variables must be of the same
        groups.append(row["environment"].removeprefix(f"{slug}-"))
    own = [step for step in steps if {"script", "bash"} & set(step) and "displayName" not in step]
    env = {key: str(value) for step in own for key, value in step.get("env", {}).items()}
    setup = next((step for step in steps if step.get("script") == "make setup"), {})
    locked = setup.get("env", {}).get("UV_LOCKED")
    settings = {**env, **({"UV_LOCKED": locked} if locked else {})}
    uploads, roots, when = azure_uploads(steps)
    down = [step["inputs"] for step in steps if step.get("task") == "DownloadPipelineArtifact@2"]
    places = {
        given["artifactName"]: given["targetPath"].removeprefix(WORKSPACE).strip("/") or "."
        for given in down
    }
    environment = " and ".join(sorted(set(groups)))
    logins = [step for step in steps if step.get("task") == "AzureCLI@2"]
    return Job(
        needs=set(listed(row.get("dependsOn"))),
        when=AZURE_CONDITIONS[row.get("condition", "")],
        environment=environment,
        stays=row["pool"].get("name") == "inputs.runner",
        run=[line for step in own for line in azure_lines(step)],
        uploads=uploads,
        upload_when=when,
        downloads=set(places),
        variables={name for name in env if re.match(r"\$\(\w+\)$", env[name])},
        inputs=given(env),
        settings={
            name: settings[name] for name in SETTINGS & set(settings) if "." not in settings[name]
        },
        token=env.get("SYSTEM_ACCESSTOKEN") == "$(System.AccessToken)",
        login=[(step["inputs"]["azureSubscription"], step["condition"]) for step in logins]
        == [(f"{slug}-{environment}", NO_FORK)],
        timeout=int(row.get("timeoutInMinutes", 0)),
        prepared=CHECKOUT.items() <= {k: str(v).lower() for k, v in steps[0].items()}.items(),
        keeps=str(steps[0].get("clean")).lower() == "false",
        workflow=env.get("WORKFLOW", ""),
        roots=roots,
        places=places,
        raw=row,
    )


def azure_lines(step: dict[str, Any]) -> list[str]:
    """Return the lines of a script; one of several must stop at the first that fails."""
    lines = listed(step.get("script") or step["bash"])
    return lines[1:] if lines[0] == "set -e" else lines if len(lines) == 1 else ["set +e", *lines]


def azure_uploads(steps: list[dict[str, Any]]) -> tuple[dict[str, set[str]], dict[str, str], str]:
    """Return what is published, relative to which folders, and when."""
    uploads, roots, when = {}, {}, "success"
    copied: list[str] = []
    for step in steps:
        given = step.get("inputs", {})
        copied = listed(given.get("Contents")) or copied
        path = step.get("publish") or given.get("PathtoPublish")
        if not path:
            continue
        name = step.get("artifact") or given["ArtifactName"]
        when = AZURE_CONDITIONS[step.get("condition", "")]
        uploads[name] = plain(copied if path == STAGING else [path])
        # Of a folder what is in it is published, of a file the file.
        parent = str(PurePosixPath(path).parent)
        roots[name] = "." if path == STAGING else parent if PurePosixPath(path).suffix else path
    return uploads, roots, when


READERS = {"github": github, "gitlab": gitlab, "azure-devops": azure_devops}
