"""GitLab: main, environments, merge requests, schedules, resource groups, labels, variables."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from ... import project
from ...settings import load_settings
from ..protection import MAIN, Api, AtLeast, Call, Rule, merge, needed, pick, resource

INSTALL = "https://gitlab.com/gitlab-org/cli"
STATUS = ["glab", "auth", "status"]
LOGIN = "glab auth login"
HOME = "projects/:id"  # glab fills it in
SCHEDULES = Path(".gitlab/schedules.yaml")
LABELS = Path(".gitlab/labels.yaml")
TIERS = {"dev": "development", "test": "testing", "staging": "staging", "prod": "production"}
NO_ONE, MAINTAINER = 0, 40
MERGE_REQUESTS = {
    "only_allow_merge_if_pipeline_succeeds": True,
    "only_allow_merge_if_all_discussions_are_resolved": True,
    "allow_merge_on_skipped_pipeline": False,
    # A pipeline is chosen by WORKFLOW: new projects let nobody set it.
    "ci_pipeline_variables_minimum_override_role": "maintainer",
}


def command(method: str, path: str) -> list[str]:
    """Return the command that makes a request; it reads the body from standard input."""
    place = path.removeprefix("/") if path.startswith("/groups/") else f"{HOME}{path}"
    body = ["--header", "Content-Type: application/json", "--input", "-"]
    return ["glab", "api", "--method", method, place, *(body if method in ("POST", "PUT") else [])]


def rules(api: Api) -> Iterator[Rule | str]:
    """Yield what must be so."""
    found = pick(api.read(""), *MERGE_REQUESTS)
    # The free tier refuses to answer.
    guarded = api.find("/protected_environments?per_page=100", absent=r"HTTP 40[34]")
    paid = guarded is not None
    yield _branch(api, paid)
    yield Rule("merge requests", MERGE_REQUESTS, found, (Call("PUT", "", MERGE_REQUESTS),))
    if paid:
        yield _approvals(api)
    else:
        yield "GitLab's free tier: no approval can be demanded of merge requests."
    there = {one["name"] for one in api.read("/environments?per_page=100")}
    for name in project.ENVIRONMENTS:
        body = {"name": name, "tier": TIERS.get(name, "other")}
        found = {} if name in there else None
        yield Rule(f"environment {name}", {}, found, (Call("POST", "/environments", body),))
        if approvals := load_settings(name).approvals:
            yield _protected(name, approvals, guarded)
    yield from _schedules(api)
    for group in api.read("/resource_groups?per_page=100"):  # each appears with its first job
        key, body = group["key"], {"process_mode": "oldest_first"}
        call = Call("PUT", f"/resource_groups/{quote(key, safe='')}", body)
        yield Rule(f"resource group {key}", body, group, (call,))
    labels = {one["name"] for one in api.read("/labels?per_page=100")}
    for label in yaml.safe_load(LABELS.read_text(encoding="utf-8")):
        found = {} if label["name"] in labels else None
        yield Rule(f"label {label['name']}", {}, found, (Call("POST", "/labels", label),))
    yield from _variables(api)


def _branch(api: Api, paid: bool) -> Rule:
    body: dict[str, Any] = {
        "name": MAIN,
        "push_access_level": NO_ONE,
        "merge_access_level": MAINTAINER,
        "allow_force_push": False,
    }
    if paid:
        body["code_owner_approval_required"] = True
    path, title = f"/protected_branches/{MAIN}", f"protected branch {MAIN}"
    create = Call("POST", "/protected_branches", body)
    found = api.find(path)
    if found is None:
        return Rule(title, body, None, (create,))
    entries = found["push_access_levels"] + found["merge_access_levels"]
    for action in ("push", "merge"):
        levels = sorted({one["access_level"] for one in found[f"{action}_access_levels"]})
        found[f"{action}_access_level"] = levels[0] if len(levels) == 1 else levels
    if any(one.get(key) for one in entries for key in ("user_id", "group_id", "deploy_key_id")):
        return Rule(title, body, found, fix="by hand in Settings: somebody was added by name")
    # On the free tier no request changes who may push: protected anew, by two in a row.
    return Rule(title, body, found, (Call("DELETE", path), create))


def _approvals(api: Api) -> Rule:
    wanted = {"rule_type": "any_approver", "approvals_required": AtLeast(1)}
    every = api.read("/approval_rules?per_page=100")
    found = next((one for one in every if one["rule_type"] == "any_approver"), None)
    title = "merge requests, approvals"
    return resource(title, wanted, found, "/approval_rules", made_with={"name": "Review"})


def _protected(name: str, approvals: int, guarded: Any) -> Rule | str:
    if guarded is None:
        return (
            f"GitLab's free tier: to demand {approvals} approval(s), {name} needs Premium. Its "
            f"manual job stands in: only who may merge into {MAIN} can start it."
        )
    found = next((one for one in guarded if one["name"] == name), None)
    wanted: dict[str, Any] = {
        "deploy_access_levels": [{"access_level": MAINTAINER}],
        "approval_rules": [{"access_level": MAINTAINER, "required_approvals": AtLeast(approvals)}],
    }
    path, title = "/protected_environments", f"environment {name}, approvals"
    if found is None:
        return Rule(title, wanted, None, (Call("POST", path, {"name": name} | wanted),))
    # Only our own entries are sent, by their ids: others stay.
    body = {
        key: [pick(merge(one, _entry(found[key])), "id", *one)] for key, (one,) in wanted.items()
    }
    return Rule(title, wanted, found, (Call("PUT", f"{path}/{name}", body),))


def _entry(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the entry of all maintainers."""
    return next((one for one in entries if one["access_level"] == MAINTAINER), {})


def _schedules(api: Api) -> Iterator[Rule]:
    path = "/pipeline_schedules"
    for entry in yaml.safe_load(SCHEDULES.read_text(encoding="utf-8")):
        name = entry["workflow"]
        body = {"description": name, "ref": f"refs/heads/{MAIN}", "cron": entry["cron"]}
        body |= {"cron_timezone": "UTC", "active": True}
        found = _schedule(api, name)
        yield resource(f"schedule {name}", body, found, path)
        made = found or _schedule(api, name)  # by now, unless nothing is to be changed
        place = f"{path}/{made['id'] if made else 'ID'}"
        variables = api.read(place)["variables"] if made else []
        found = next((one for one in variables if one["key"] == "WORKFLOW"), None)
        body = {"key": "WORKFLOW", "value": name}
        call = Call("POST", f"{place}/variables", body)
        if found:
            call = Call("PUT", f"{place}/variables/WORKFLOW", {"value": name})
        yield Rule(f"schedule {name}, variable", body, found, (call,))


def _schedule(api: Api, name: str) -> Any:
    every = api.read("/pipeline_schedules?per_page=100")
    return next((one for one in every if one["description"] == name), None)


def _variables(api: Api) -> Iterator[Rule]:
    every = api.read("/variables?per_page=100")
    space = api.read("")["namespace"]
    if space["kind"] == "group":  # those of the group are seen by its owners only
        place = f"/groups/{space['id']}/variables?per_page=100"
        every += api.find(place, absent=r"HTTP 40[34]") or []
    for environment in project.ENVIRONMENTS:
        fitting = [one for one in every if one["environment_scope"] in ("*", environment)]
        for name, variable in needed(environment).items():
            wanted = {"masked": True} if variable.secret else {}
            if variable.secret and "train" not in variable.needed:  # not for merge requests
                wanted["protected"] = True
            flags = "".join(f" --{key}" for key in wanted)
            fix = f"glab variable set {name} --scope {environment}{flags} ({variable.help})"
            found = next((one for one in fitting if one["key"] == name), None)
            yield Rule(f"variable {name} of {environment}", wanted, found, fix=fix)
