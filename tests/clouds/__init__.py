"""The adapters as they lie in template/: one suite each of targets, registries, stores and jobs.

Importing this package makes ``mlops`` importable, and ``mlops.project`` as Copier would render it.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import yaml

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "template/src"
ANSWERS: dict[str, Any] = {
    "project_name": "Flight delays",
    "project_slug": "flight-delays",
    "package_name": "flight_delays",
    "team": "Operations research",
    "contact": "owner@example.com",
    "task": "classification",
    "registry": "mlflow",
    "serving": ["online", "batch"],
    "environments": ["dev", "staging", "prod"],
    "ci": "github",
    "promotion": "deploy-model",
    "provider": "local",
    "training": "job",
}


def _bind() -> None:
    """Make ``mlops.project``; the suites set its PROVIDER and REGISTRY for each platform."""
    if str(SOURCE) not in sys.path:
        sys.path.insert(0, str(SOURCE))
    import mlops

    if "mlops.project" in sys.modules:
        return
    envops = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))["_envops"]
    envops["undefined"] = jinja2.StrictUndefined
    template = (SOURCE / "mlops/project.py.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=False, **envops)
    environment.filters["to_json"] = lambda value: repr(value)
    module = ModuleType("mlops.project")
    exec(environment.from_string(template).render(ANSWERS), module.__dict__)
    sys.modules["mlops.project"] = module
    mlops.project = module


_bind()
