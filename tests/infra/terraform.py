"""The real terraform, with providers that are no more than schemas: see provider.py."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .provider import serve

HERE = Path(__file__).parent
SCHEMAS = HERE / "schemas"
# What a schema is offered as, where its version is older than the roots take: their lowest. So what
# came between is not known here, and what went is not missed.
OFFERED = {"azurerm": "4.81.0", "google": "7.45.0"}
Object = dict[str, Any]


@dataclass
class Plan:
    """What an environment's root would make from nothing. What is not known yet is absent."""

    resources: dict[str, Object]  # by address; "type" is its kind, "values" what is planned
    outputs: Object


class Terraform:
    """The binary, told that providers come from a folder, and from nowhere else.

    `init` chooses a version there. What lies there is empty: the plugin runs in this process, as
    one that is started anew for each command takes nearly all of its time.
    """

    def __init__(self, home: Path) -> None:
        self.home, self.plugins = home, {}
        mirror, settings = home / "mirror", home / "settings.tfrc"
        settings.write_text(
            f'provider_installation {{\n  filesystem_mirror {{ path = "{mirror}" }}\n}}\n'
        )
        system = json.loads(self.run(home, "version", "-json"))["platform"]
        for schema in SCHEMAS.glob("*.json"):
            name, version = schema.stem.rsplit("-", 1)
            (address,) = json.loads(schema.read_text())["provider_schemas"]
            version = OFFERED.get(name, version)
            plugin = mirror / address / version / system / f"terraform-provider-{name}_v{version}"
            plugin.parent.mkdir(parents=True)
            plugin.touch(0o755)
            self.plugins[address] = serve(schema, home / name)

    def run(self, root: Path, *arguments: str, fails: bool = False) -> str:
        """Run a command in a root and return what it prints; ``fails`` is what is expected."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=root,
            env={
                **kept,
                "CHECKPOINT_DISABLE": "1",
                "TF_CLI_ARGS": "-no-color",
                "TF_CLI_CONFIG_FILE": str(self.home / "settings.tfrc"),
                "TF_REATTACH_PROVIDERS": json.dumps({} if arguments[0] == "init" else self.plugins),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert bool(done.returncode) == fails, (
            f"terraform {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout[-4000:]}"
        )
        return done.stdout

    def plans(self, root: Path, environments: dict[str, str]) -> dict[str, Plan]:
        """Return each environment's plan; its variables are the text of a .tfvars file.

        One run of `terraform test`, with every provider mocked, makes them all.
        """
        chosen = json.loads(self.run(root, "version", "-json"))["provider_selections"]
        mocks = [f'mock_provider "{address.split("/")[-1]}" {{}}' for address in chosen]
        runs = [
            f'run "{name}" {{\n  command = plan\n  variables {{\n{text}\n  }}\n}}'
            for name, text in environments.items()
        ]
        file = root / "plans.tftest.hcl"
        file.write_text("\n".join([*mocks, *runs, ""]))
        try:
            said = self.run(root, "test", "-json", "-verbose", f"-filter={file.name}")
        finally:
            file.unlink()
        lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return {
            line["@testrun"]: _plan(line["test_plan"])
            for line in lines
            if line["type"] == "test_plan"
        }


def _plan(content: Object) -> Plan:
    resources = {
        one["address"]: {"type": one["type"], "values": _values(one["change"])}
        for one in content.get("resource_changes", [])
        if one["mode"] == "managed"
    }
    outputs = {
        name: change.get("after") for name, change in content.get("output_changes", {}).items()
    }
    return Plan(resources, outputs)


def _values(change: Object) -> Object:
    """Return what is planned; tags that nobody gave are unknown in a schema, and none in truth."""
    given = {key: None for key in ("tags", "labels") if change["after_unknown"].get(key) is True}
    return given | (change["after"] or {})
