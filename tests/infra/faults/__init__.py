"""Violations to plant, a module for each provider.

A fault is the policy that finds it, the file below the provider's root, what stands there, and what
stands instead. Each policy is broken at least once in each provider.
"""

import importlib
import pkgutil

from ..policies import Policy

Fault = tuple[Policy, str, str, str]
FAULTS: dict[str, list[Fault]] = {
    module.name: importlib.import_module(f".{module.name}", __name__).FAULTS
    for module in pkgutil.iter_modules(__path__)
}
