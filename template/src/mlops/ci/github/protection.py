"""GitHub: environments, the ruleset of main, Actions' rights, labels, secrets and variables."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ... import project
from ...errors import MlopsError
from ...settings import load_settings
from ..protection import MAIN, Api, AtLeast, Call, Rule, merge, needed, pick, resource

INSTALL = "https://cli.github.com"
STATUS = ["gh", "auth", "status"]
LOGIN = "gh auth login"
HOME = "repos/{owner}/{repo}"  # gh fills in both
RULESET = Path(".github/rulesets/main.json")
LABELS = Path(".github/labels.yaml")


def command(method: str, path: str) -> list[str]:
    """Return the command that makes a request; it reads the body from standard input."""
    body = [] if method == "GET" else ["--input", "-"]
    return ["gh", "api", "--method", method, f"{HOME}{path}", *body]


def rules(api: Api) -> Iterator[Rule | str]:
    """Yield what must be so."""
    owner = api.read("")["owner"]
    reviewer = _reviewer(api, owner)
    for name in project.ENVIRONMENTS:
        yield from _environment(api, name, reviewer)
    yield _ruleset(api)
    yield from _actions(api)
    for label in yaml.safe_load(LABELS.read_text(encoding="utf-8")):
        found = pick(api.find(f"/labels/{label['name']}"), "name")
        yield Rule(f"label {label['name']}", {}, found, (Call("POST", "/labels", label),))
    for name in project.ENVIRONMENTS:
        yield from _variables(api, name, owner)
    yield from _owners(api)


def _environment(api: Api, name: str, reviewer: dict[str, Any]) -> Iterator[Rule]:
    path, approvals = f"/environments/{name}", load_settings(name).approvals
    found, title = _written(api.find(path)), f"environment {name}"
    if not approvals:
        yield Rule(title, {}, found, (Call("PUT", path, {}),))
        return
    wanted: dict[str, Any] = {
        "reviewers": [reviewer],
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
    }
    if reviewer["type"] == "Team":  # a person alone has nobody else to ask
        wanted["prevent_self_review"] = True
    yield Rule(title, wanted, found, (Call("PUT", path, merge(wanted, found)),))
    fix = f"approvals: 1 in {name}.yaml, as GitHub asks one of the reviewers, never more"
    yield Rule(f"{title}, approvals", approvals, 1, fix=fix)

    path = f"{path}/deployment-branch-policies"
    policies = (api.find(path) or {}).get("branch_policies", [])
    names = [policy["name"] for policy in policies]
    add = () if MAIN in names else (Call("POST", path, {"name": MAIN, "type": "branch"}),)
    fix = "make ci-setup adds main; take others away by hand"
    yield Rule(f"{title}, branches that deploy", MAIN, ", ".join(names), add, fix)


def _written(answer: Any) -> Any:
    """Return an environment as it is written: a PUT resets what it does not name."""
    if answer is None:
        return None
    parts = {rule["type"]: rule for rule in answer.get("protection_rules") or []}
    review = parts.get("required_reviewers", {})
    people = review.get("reviewers") or []
    return {
        "wait_timer": parts.get("wait_timer", {}).get("wait_timer", 0),
        "prevent_self_review": review.get("prevent_self_review", False),
        "reviewers": [{"type": one["type"], "id": one["reviewer"]["id"]} for one in people],
        "deployment_branch_policy": answer.get("deployment_branch_policy"),
    }


def _reviewer(api: Api, owner: dict[str, Any]) -> dict[str, Any]:
    if owner["type"] != "Organization":
        return {"type": "User", "id": owner["id"]}
    slug = project.TEAM.rpartition("/")[2].lower().replace(" ", "-")
    teams = {team["slug"]: team["id"] for team in api.read("/teams?per_page=100")}
    if slug not in teams:
        raise MlopsError(
            f"No team {slug} of {owner['login']} has access here, but it approves releases: "
            f"give it the role write, or one of {', '.join(teams) or 'none'} the answer team."
        )
    return {"type": "Team", "id": teams[slug]}


def _ruleset(api: Api) -> Rule:
    wanted = json.loads(RULESET.read_text(encoding="utf-8"), parse_int=AtLeast)
    every = api.read("/rulesets?per_page=100&includes_parents=false")
    number = next((one["id"] for one in every if one["name"] == wanted["name"]), None)
    found = number and api.find(f"/rulesets/{number}")  # the list has no rules
    return resource(f"ruleset of {MAIN}", wanted, found, "/rulesets")


def _actions(api: Api) -> Iterator[Rule]:
    path = "/actions/permissions"
    wanted: dict[str, Any] = {"enabled": True, "sha_pinning_required": True}
    found = pick(api.read(path), "allowed_actions", *wanted)
    yield Rule("Actions", wanted, found, (Call("PUT", path, merge(wanted, found)),))
    # One switch lets Actions open pull requests and approve them; the ruleset asks for a code
    # owner's approval, which Actions never is.
    wanted = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": True}
    found = pick(api.read(f"{path}/workflow"), *wanted)
    yield Rule("Actions, a job's rights", wanted, found, (Call("PUT", f"{path}/workflow", wanted),))


def _variables(api: Api, environment: str, owner: dict[str, Any]) -> Iterator[Rule]:
    for name, variable in needed(environment).items():
        kind = "secret" if variable.secret else "variable"
        places = [f"/environments/{environment}/{kind}s/{name}", f"/actions/{kind}s/{name}"]
        there = any(api.find(place) is not None for place in places)
        if not there and owner["type"] == "Organization":
            shared = api.find(f"/actions/organization-{kind}s?per_page=100") or {}
            there = name in {one["name"] for one in shared.get(f"{kind}s", [])}
        fix = f"gh {kind} set {name} --env {environment} ({variable.help})"
        yield Rule(f"{kind} {name} of {environment}", {}, {} if there else None, fix=fix)


def _owners(api: Api) -> Iterator[Rule]:
    found = api.find("/codeowners/errors")
    if found is None:
        yield Rule("CODEOWNERS", {}, None, fix=f"push {MAIN}")
    for error in (found or {}).get("errors", []):
        fix = "name a team or person with the role write (@organization/team)"
        yield Rule(f"CODEOWNERS, line {error['line']}", "valid", error["kind"], fix=fix)
