"""Derive schemas/NAME-VERSION.json: `python tests/infra/derive.py kubernetes helm`.

The registry of providers is not always within reach, that of npm packages is. A prebuilt provider
of CDK for Terraform is made from the provider's schema; this reads it back from the declarations
(index.d.ts: arguments, blocks, what is required) and the code (index.js: what is computed, what is
a set). Only resources and data sources that the roots name are kept. What cannot be read back:
limits above one, rules of values, and which optional arguments are computed (all count as such).
"""

import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOTS = HERE.parents[1] / "template/infra"
SCHEMAS = HERE / "schemas"
# Frozen: no newer ones will come. azuredevops has none: its schema is by hand, after its source.
PACKAGES = {
    "aws": "@cdktf/provider-aws@21.22.1",
    "azuread": "@cdktf/provider-azuread@14.3.1",
    "azurerm": "@cdktf/provider-azurerm@14.23.1",
    "google": "@cdktf/provider-google@16.12.1",
    "helm": "@cdktf/provider-helm@12.1.2",
    "kubernetes": "@cdktf/provider-kubernetes@12.1.1",
}
Object = dict[str, Any]
# What became of a resource's arguments after the package's release, by the provider's documentation
# and upgrade guide: new ones, and None for what the next major has no more. Both majors have to
# take what stands in the roots: what only one has is refused.
LATER: dict[str, dict[str, dict[str, Object | None]]] = {
    "azurerm": {
        "azurerm_eventgrid_system_topic": {
            "source_arm_resource_id": None,
            "metric_arm_resource_id": None,
        },
        "azurerm_federated_identity_credential": {
            "parent_id": None,
            "resource_group_name": None,
            "user_assigned_identity_id": {"type": "string", "required": True},
        },
        "azurerm_key_vault": {
            "contact": None,
            "enable_rbac_authorization": None,
            "rbac_authorization_enabled": {"type": "bool", "required": True},
        },
        "azurerm_machine_learning_workspace": {
            "storage_account_access_type": {"type": "string", "optional": True, "computed": True},
        },
        "azurerm_monitor_diagnostic_setting": {"metric": None},
        "azurerm_storage_account": {"queue_properties": None, "static_website": None},
        "azurerm_storage_container": {"storage_account_name": None, "resource_manager_id": None},
        "azurerm_storage_queue": {"storage_account_name": None, "resource_manager_id": None},
    }
}

INTERFACE = re.compile(r"^export interface (\w+)[^{\n]*\{\n(.*?)^\}", re.M | re.S)
ARGUMENT = re.compile(
    r"/\*\*((?:(?!\*/).)*)\*/\s+readonly \w+(\??): (\{.*?\}(?:\[\][^;]*)?|[^;{]*);", re.S
)
NAME = re.compile(r"registry\.terraform\.io/\S+#(\w+) ")
BLOCK = re.compile(r"^\s*\* \w+ block$", re.M)
CLASS = re.compile(r"^class (\w+) extends [\w.]+ \{\n(.*?)^\}", re.M | re.S)
COMPUTED = re.compile(
    r"// (\w+) - computed: true, optional: false, required: false\s+"
    r"(?:get \w+\(\) \{\s+return (.*?);|this\.\w+ = new ([\w.]+)\(this, \"\w+\"(.*?)\);)"
)
SET = re.compile(
    r"tolist\(this\.getListAttribute\(['\"](\w+)|tolist\(this\.getNumberListAttribute\(['\"](\w+)"
    r"|new [\w.]+List\(this, \"(\w+)\", true\)"
)
USED = re.compile(r'^(resource|data) "(\w+)"', re.M)
PRIMITIVES = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
GETTERS: dict[str, Any] = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
}


class Source:
    """The declarations and the code of one resource, or of the provider itself."""

    def __init__(self, declarations: str, code: str, optional: Object) -> None:
        self.interfaces = dict(INTERFACE.findall(declarations))
        self.classes = dict(CLASS.findall(code))
        self.optional = optional  # what an argument that may be left out is

    def block(self, interface: str, of: str) -> Object:
        """Return what an interface takes, and what the class of that name computes."""
        code = self.classes.get(of, "")
        sets = {name for found in SET.findall(code) for name in found if name}
        attributes: Object = {}
        blocks: Object = {}
        for text, optional, kind in ARGUMENT.findall(self.interfaces[interface]):
            name = NAME.search(text)[1]  # type: ignore[index]
            kind = re.sub(r" \| cdktf\.IResolvable|\s", "", kind)
            struct, many = kind.removesuffix("[]"), kind.endswith("[]")
            if struct not in self.interfaces:
                shape = {"type": _type(kind, name in sets)}
            else:
                inner = self.block(struct, f"{struct}OutputReference")
                mode = "set" if name in sets else "list" if many else "single"
                if BLOCK.search(text):
                    blocks[name] = _nested(name, inner, mode, required=not optional)
                    continue
                shape = {"nested_type": {"attributes": inner["attributes"], "nesting_mode": mode}}
            attributes[name] = shape | (self.optional if optional else {"required": True})
        for name, getter, made, more in COMPUTED.findall(code):
            attributes[name] = {"type": self._computed(getter, made, more), "computed": True}
        return {"attributes": attributes, "block_types": blocks}

    def _computed(self, getter: str, made: str, more: str) -> Any:
        if getter:
            found = re.search(r"this\.get(\w+)Attribute\(", getter)
            told = GETTERS.get(found[1], "dynamic") if found else "dynamic"
            return ["set", told[1]] if "tolist(" in getter else told
        if made.startswith("cdktf."):
            each = ["map", "bool" if "Boolean" in made else made[6:12].lower()]
            return ["list", each] if made.endswith("List") else each
        struct = made.split(".")[-1].removesuffix("List").removesuffix("OutputReference")
        code = self.classes.get(f"{struct}OutputReference")
        if code is None:  # lists of lists, of which there are two or three
            return "dynamic"
        inner = {name: self._computed(*rest) for name, *rest in COMPUTED.findall(code)}
        whole = ["object", inner]
        return ["set" if "true" in more else "list", whole] if made.endswith("List") else whole


def _type(kind: str, is_set: bool) -> Any:
    if kind.endswith("[]"):
        return ["set" if is_set else "list", _type(kind.removesuffix("[]").strip("()"), False)]
    if kind.startswith("{"):
        inner = _type(kind.partition("]:")[2].rstrip(";}"), False)
        return inner if inner == "dynamic" else ["map", inner]  # an object of any kind
    return PRIMITIVES[kind]


def _nested(name: str, inner: Object, mode: str, required: bool) -> Object:
    if name == "timeouts":
        return {"nesting_mode": "single", "block": inner}
    limits = {"min_items": 1} if required else {}
    if mode == "single":  # all providers but the newest write one block as a list of one
        mode, limits = "list", {**limits, "max_items": 1}
    return {"nesting_mode": mode, "block": inner, **limits}


def derive(package: Path, used: set[tuple[str, str]]) -> tuple[str, str, Object]:
    """Return the name and version of a package's provider, and the schema of what is used.

    Raises:
        SystemExit: the provider has no resource or data source of a name.
    """
    with tarfile.open(package) as archive:
        texts = {
            member.name: archive.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in archive
            if member.name.endswith(("index.js", "index.d.ts", "package.json"))
            or "/index-structs/" in member.name
        }
    about = json.loads(texts["package/package.json"])["cdktf"]["provider"]
    name = about["name"].split("/")[-1]

    def source(folder: str, optional: Object) -> Source:
        files = {path: text for path, text in texts.items() if f"/lib/{folder}/" in path}
        if not files:
            raise SystemExit(f"{name} {about['version']} has no {folder}.")
        return Source(
            "".join(text for path, text in files.items() if path.endswith(".d.ts")),
            "".join(text for path, text in files.items() if path.endswith(".js")),
            optional,
        )

    def schema(folder: str, **computed: bool) -> Object:
        read = source(folder, {"optional": True, **computed})
        config = next(one for one in read.interfaces if one.endswith("Config"))
        return {"version": 0, "block": read.block(config, config.removesuffix("Config"))}

    found: Object = {"provider": schema("provider")}
    for key, word, prefix in (
        ("resource_schemas", "resource", ""),
        ("data_source_schemas", "data", f"data-{name}-"),
    ):
        kinds = sorted(kind for what, kind in used if what == word)
        found[key] = {
            kind: schema(prefix + kind.removeprefix(f"{name}_").replace("_", "-"), computed=True)
            for kind in kinds
        }
    found["provider"]["block"]["attributes"].pop("alias")  # Terraform's own
    return about["name"], about["version"], found


def used(name: str) -> set[tuple[str, str]]:
    """Return what the roots name of a provider: ("resource" or "data", its type)."""
    texts = [path.read_text() for path in ROOTS.rglob("*.tf")]
    pairs = {(what, kind) for text in texts for what, kind in USED.findall(text)}
    return {(what, kind) for what, kind in pairs if kind.startswith(f"{name}_")}


def write(name: str) -> Path:
    """Fetch a provider's package, and write its schema."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, PACKAGES[name]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        address, version, schema = derive(next(Path(folder).glob("*.tgz")), used(name))
    revise(schema["resource_schemas"], LATER.get(name, {}))
    for old in SCHEMAS.glob(f"{name}-*.json"):
        old.unlink()
    target = SCHEMAS / f"{name}-{version}.json"
    target.write_text(dump(address, schema))
    return target


def revise(resources: Object, later: dict[str, dict[str, Object | None]]) -> None:
    """Change resources to what became of them later."""
    for kind in resources.keys() & later.keys():
        block = resources[kind]["block"]
        for argument, shape in later[kind].items():
            if shape:
                block["attributes"][argument] = shape
            elif argument in block["attributes"]:
                del block["attributes"][argument]
            else:
                del block["block_types"][argument]


def dump(address: str, schema: Object) -> str:
    """Return the form of `terraform providers schema -json`, a line for each resource."""
    parts = []
    for key, value in schema.items():
        if key != "provider":
            lines = ",\n".join(f'"{kind}":{_line(one)}' for kind, one in sorted(value.items()))
            parts.append(f'"{key}":{{\n{lines}\n}}')
        else:
            parts.append(f'"{key}":{_line(value)}')
    body = ",\n".join(parts)
    return f'{{"format_version":"1.0","provider_schemas":{{"{address}":{{\n{body}\n}}}}}}\n'


def _line(value: Object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    for each in sys.argv[1:] or PACKAGES:
        print(write(each))
