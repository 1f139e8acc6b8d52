"""Azure DevOps: pipelines, environments with their checks, variable groups, policies of main."""

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import dropwhile
from pathlib import Path
from typing import Any

from ... import project
from ...errors import MlopsError
from ...lineage import git
from ...settings import load_settings
from ..protection import MAIN, Api, AtLeast, Call, Rule, needed, pick, resource

INSTALL = "https://learn.microsoft.com/cli/azure/install-azure-cli"
STATUS = ["az", "account", "show"]
LOGIN = "az login"
AUDIENCE = "499b84ac-1321-427f-aa17-267ca6975798"  # Azure DevOps, the same for everybody
VERSION = "api-version=7.1-preview"
PIPELINES = Path("azure-pipelines")
WORK_ITEMS = Path(".azuredevops/work_items.json")
OWNERS = Path("CODEOWNERS")
INFRA = ["/infra/*", "/environments/*", "/.dvc/config"]
# Kinds of checks and of branch policies bear these ids in every organisation.
APPROVAL = {"id": "8c6f20a7-a545-4486-9777-f762fafe0d4d", "name": "Approval"}
TASK = {"id": "fe1de3ee-a436-41b4-bb20-f6eb4cb879a7", "name": "Task Check"}
BRANCHES = {"id": "86b05a0c-73e6-4f7d-b3cf-e38f3b39a75b", "name": "evaluatebranchProtection"}
REVIEW = "fa4e907d-c16b-4a4c-9dfa-4906e5d171dd"
OWNER = "fd2167ab-b0be-447a-8ec8-39368250530e"
BUILD = "0609b952-1397-4640-95ec-e00a01b2c241"
WORK_ITEM = "40e92b44-2fe1-4dd6-b3d8-74a9c21d0c6e"
COMMENTS = "c6a1889d-b943-4856-b76f-9e46bb6b0df2"
# What a job's token reaches: this project, and the repositories that its pipeline names.
JOBS = dict.fromkeys(
    ("enforceJobAuthScope", "enforceReferencedRepoScopedToken", "enforceSettableVar"), True
)
ORIGIN = re.compile(
    r"(?:dev\.azure\.com[:/](?:v3/)?(?P<organization>[^/]+)|//(?P<old>[^./]+)\.visualstudio\.com"
    r"(?:/DefaultCollection)?)/(?P<project>[^/]+)/(?:_git/)?(?P<repository>[^/]+?)/?$"
)


def command(method: str, path: str) -> list[str]:
    """Return the command that makes a request; it reads the body from standard input."""
    where = _origin()
    root = f"https://dev.azure.com/{where['organization'] or where['old']}"
    place = path if path.startswith("/") else f"/{where['project']}/_apis/{path}"
    url = f"{root}{place}{'&' if '?' in place else '?'}{VERSION}"
    body = [] if method == "GET" else ["--body", "@-"]
    return ["az", "rest", "--method", method.lower(), "--resource", AUDIENCE, "--url", url, *body]


def rules(api: Api) -> Iterator[Rule | str]:
    """Yield what must be so."""
    where = _origin()
    repository = api.find(f"git/repositories/{where['repository']}")
    if repository is None:
        raise MlopsError(f"{where['project']} has no repository {where['repository']}: push it.")
    teams = api.read(f"/_apis/projects/{where['project']}/teams")["value"]
    owners = _owners({team["name"].replace(" ", "-").lower(): team["id"] for team in teams})
    team = next(iter(owners))
    source = {"id": repository["id"], "type": "azureReposGit"}
    for file in sorted(PIPELINES.glob("*.yml")):
        name = f"{project.NAME}-{file.stem}"
        definition = {"type": "yaml", "path": f"/{file}", "repository": source}
        body = {"name": name, "folder": "\\", "configuration": definition}
        yield Rule(f"pipeline {name}", {}, _pipeline(api, name), (Call("POST", "pipelines", body),))
    path = "build/generalsettings"
    yield Rule("pipelines, a job's rights", JOBS, api.read(path), (Call("PATCH", path, JOBS),))
    for environment in project.ENVIRONMENTS:
        yield from _environment(api, environment, f"{where['project']}/teams/{team}")
        yield from _variables(api, environment, pick(repository["project"], "id", "name"))
    yield from _policies(api, repository["id"], owners)
    path = f"/{where['project']}/{team}/_apis/wit/templates"
    for item in json.loads(WORK_ITEMS.read_text(encoding="utf-8")):
        found = _named(api, path, item["name"])
        yield Rule(f"work item template {item['name']}", {}, found, (Call("POST", path, item),))


@cache
def _origin() -> dict[str, str]:
    match = ORIGIN.search(url := git("remote", "get-url", "origin"))
    if match is None:
        raise MlopsError(f"origin is {url}, which is no repository of Azure DevOps.")
    return match.groupdict()


def _owners(teams: dict[str, str]) -> dict[str, list[str]]:
    """Return the files that each team of CODEOWNERS reviews; the last match wins there and here."""
    lines = [line.split() for line in OWNERS.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line and not line[0].startswith("#")]
    names = list(dict.fromkeys(name for line in lines for name in line[1:]))
    unknown = [name for name in names if name.removeprefix("@").lower() not in teams]
    if unknown or not names:
        raise MlopsError(
            f"CODEOWNERS: {', '.join(unknown) or 'nobody'} is no team of this project. Its teams: "
            f"{', '.join(f'@{team}' for team in teams)}."
        )
    return {teams[name.removeprefix("@").lower()]: _patterns(name, lines) for name in names}


def _patterns(name: str, lines: list[list[str]]) -> list[str]:
    marked = [
        ("" if name in owners else "!") + (f"{path}*" if path.endswith("/") else path)
        for path, *owners in lines
    ]
    return list(dropwhile(lambda pattern: pattern.startswith("!"), marked))


def _named(api: Api, path: str, name: str) -> Any:
    """Return the one of a list that bears a name."""
    return next((one for one in api.read(path)["value"] if one["name"] == name), None)


def _pipeline(api: Api, name: str) -> Any:
    return _named(api, "pipelines?$top=1000", name)


def _environment(api: Api, name: str, team: str) -> Iterator[Rule]:
    full, path = f"{project.NAME}-{name}", "distributedtask/environments"
    found = _named(api, f"{path}?name={full}", full)
    body = {"name": full, "description": ""}
    yield Rule(f"environment {name}", {}, found, (Call("POST", path, body),))
    made = found or _named(api, f"{path}?name={full}", full)  # by now, unless nothing is changed
    place = {"type": "environment", "id": str(made["id"] if made else "ID"), "name": full}
    path = "pipelines/checks/configurations"
    query = f"{path}?resourceType=environment&resourceId={place['id']}&$expand=settings"
    there = api.read(query)["value"] if made else []
    for what, kind, settings in _checks(api, load_settings(name).approvals, team):
        same = [one for one in there if one["type"]["id"].lower() == kind["id"]]
        if task := settings.get("definitionRef"):
            same = [one for one in same if one["settings"]["definitionRef"]["id"] == task["id"]]
        rest = {"type": kind, "resource": place, "timeout": 43200}
        title, wanted = f"environment {name}, {what}", {"settings": settings}
        yield resource(title, wanted, next(iter(same), None), path, rest, change="PATCH")


def _checks(api: Api, approvals: int, team: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield an environment's checks: what for, their kind, their settings.

    No exclusive lock is among them: a rollback must not wait for the release that it ends.
    """
    if not approvals:
        return
    inputs = {"allowedBranches": f"refs/heads/{MAIN}", "ensureProtectionOfBranch": "true"}
    task = {"definitionRef": BRANCHES | {"version": "0.0.1"}, "inputs": inputs}
    yield "branches that deploy", TASK, {"displayName": "Branch control", **task}
    approvers = [team.rpartition("/")[2]]
    if approvals > 1:  # a team counts as one
        members = api.read(f"/_apis/projects/{team}/members")["value"]
        approvers = [one["identity"]["id"] for one in members]
    settings = {"approvers": [{"id": one} for one in approvers], "requesterCannotBeApprover": True}
    yield "approvals", APPROVAL, {"minRequiredApprovers": AtLeast(approvals), **settings}


def _variables(api: Api, environment: str, reference: Any) -> Iterator[Rule]:
    group, path = f"{project.NAME}-{environment}", "distributedtask/variablegroups"
    found = _named(api, f"{path}?groupName={group}", group)
    body = {
        "type": "Vsts",
        "name": group,
        "variables": {"MLOPS_ENV": {"value": environment}},  # a group cannot be empty
        "variableGroupProjectReferences": [{"projectReference": reference, "name": group}],
    }
    call = Call("POST", f"/_apis/{path}", body)
    yield Rule(f"variable group {group}", {}, found, (call,))
    for name, variable in needed(environment).items():
        wanted = {"isSecret": True} if variable.secret else {}
        state = found and found["variables"].get(name)
        fix = f"set it in Library, {group}{', as a secret' * variable.secret} ({variable.help})"
        yield Rule(f"variable {name} of {group}", wanted, state, fix=fix)


def _policies(api: Api, repository: str, owners: dict[str, list[str]]) -> Iterator[Rule]:
    place = {"repositoryId": repository, "refName": f"refs/heads/{MAIN}"}
    query = "&".join(f"{key}={value}" for key, value in place.items())
    there = api.read(f"git/policy/configurations?{query}")["value"]
    review = {"creatorVoteCounts": False, "resetOnSourcePush": True}
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        ("an approval", REVIEW, {"minimumApproverCount": AtLeast(1), **review}),
        ("a work item is linked", WORK_ITEM, {}),
        ("comments are resolved", COMMENTS, {}),
    ]
    for team, patterns in owners.items():
        settings = {"requiredReviewerIds": [team], "filenamePatterns": patterns}
        wanted.append(("the owners review", OWNER, settings))
    wanted += [(f"{name} passes", BUILD, build) for name, build in _builds(api)]
    for what, kind, settings in wanted:
        found = next((one for one in there if _about(one, kind, settings, place)), None)
        made_with = {"type": {"id": kind}, "settings": {"scope": [{**place, "matchKind": "Exact"}]}}
        body = {"isEnabled": True, "isBlocking": True, "settings": settings}
        yield resource(f"{MAIN}: {what}", body, found, "policy/configurations", made_with)


def _builds(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pipelines that a change must pass, and for which files."""
    files = {"candidate": {}, "infra-plan": {"filenamePatterns": INFRA}}
    for name in (one for one in files if (PIPELINES / f"{one}.yml").is_file()):
        made = _pipeline(api, f"{project.NAME}-{name}")
        settings = {
            "buildDefinitionId": made["id"] if made else "ID",
            "displayName": name,
            "manualQueueOnly": False,
            # Once for each change, not again when main moves: integrate trains on what is merged.
            "queueOnSourceUpdateOnly": True,
            "validDuration": 0,
        }
        yield name, settings | files[name]


def _about(policy: Any, kind: str, settings: dict[str, Any], place: dict[str, str]) -> bool:
    """Tell whether a policy is the one of this kind, branch, and pipeline or owner."""
    has = policy["settings"]
    return (
        policy["type"]["id"] == kind
        and any(place.items() <= one.items() for one in has["scope"])
        and all(has.get(k) == settings.get(k) for k in ("buildDefinitionId", "requiredReviewerIds"))
    )
