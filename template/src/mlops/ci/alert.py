"""A pipeline that failed: one work item, and a word to those who want to hear of it."""

import json
import logging
import os
import re

from .. import project
from ..errors import MlopsError
from ..lineage import git_state
from ..settings import Paths
from .forge import Forge


def alert(forge: Forge, workflow: str) -> str:
    """Open a work item, or add to the open one, and notify; return what was done.

    Raises:
        MlopsError: there is no work item; whoever is to be notified has been, all the same.
    """
    refused = refusal(Paths())
    title = f"{project.TITLE}: {workflow} {'refused a challenger' if refused else 'failed'}"
    body = "\n".join([
        f"**{workflow}** failed: [this run]({forge.run_url()}) says where.\n",
        f"- cause: {refused or 'a job ended with an error'}",
        f"- commit: {git_state().commit[:10]}",
        f"- started by: {forge.actor()}",
    ])  # fmt: skip
    opened = True
    try:
        item = f"Work item: {forge.work_item(f'{project.NAME}:{workflow}', title, body)}"
    except MlopsError as error:
        item, opened = f"No work item: {error}", False
    told = "\n".join([item, *notify(title, f"{body}\n- {item}")])
    if not opened:
        raise MlopsError(told)
    return told


def notify(title: str, body: str) -> list[str]:
    """Send to each URL of MLOPS_NOTIFY; say whom it reached, without the secrets in the URLs."""
    import apprise

    logging.getLogger("apprise").disabled = True  # it would print them
    # A comma may stand inside a URL: the next one begins with its scheme.
    urls = re.split(r"[,\s]+(?=[\w+.-]+://)", os.environ.get("MLOPS_NOTIFY", "").strip())
    lines = []
    for number, url in enumerate(filter(None, urls), start=1):
        service = apprise.Apprise()
        sent = service.add(url) and service.notify(
            body, title, apprise.NotifyType.FAILURE, apprise.NotifyFormat.MARKDOWN
        )
        scheme = url.partition("://")[0] if "://" in url else "not a URL"
        lines.append(f"MLOPS_NOTIFY {number} ({scheme}): {'sent' if sent else 'NOT sent'}")
    return lines or ["MLOPS_NOTIFY is empty: nobody was notified."]


def refusal(paths: Paths) -> str:
    """Return which gates refused the challenger; nothing if it was not that."""
    if not paths.gates.is_file():
        return ""
    checks = json.loads(paths.gates.read_text(encoding="utf-8"))["checks"]
    failed = [check["gate"] for check in checks if not check["passed"]]
    return f"the challenger was refused by {', '.join(failed)}" if failed else ""
