"""Writes cookiecutter.json from copier.yml: the same questions, as cookiecutter asks them."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment

ROOT = Path(__file__).parents[1]

# Copier's filters for regular expressions are not cookiecutter's.
DEFAULTS = {
    "project_slug": "{{ (cookiecutter.project_name | slugify).lstrip('0123456789-')[:40]"
    ".rstrip('-') }}",
}
# A folder is made before any answer is judged: whatever the slug is, here it is a mere name.
FOLDER = "{{ cookiecutter.project_slug | slugify(max_length=40) or 'project' }}"

JINJA = Environment()


def written(config: dict[str, Any]) -> dict[str, Any]:
    """Return what cookiecutter.json holds for a copier.yml."""
    asked = {
        name: row
        for name, row in config.items()
        if not name.startswith("_") and row.get("when") is not False
    }
    questions = {name: answers(name, row, set(asked)) for name, row in asked.items()}
    prompts = {name: prompt(name, row) for name, row in asked.items()}
    return {**questions, "__folder": FOLDER, "__prompts__": prompts}


def answers(name: str, row: dict[str, Any], asked: set[str]) -> Any:
    """Return a default, or every choice, the default first."""
    default = row["default"]
    if "choices" in row:
        if row.get("multiselect"):
            default = selection(default)
        return [default, *(choice for choice in choices(name, row) if choice != default)]
    if isinstance(default, str):
        return DEFAULTS.get(name) or translated(default, asked)
    return default


def prompt(name: str, row: dict[str, Any]) -> Any:
    """Return what is asked, and what each choice is called."""
    when = row.get("when")
    # cookiecutter asks every question.
    question = f"{row['help']} (if {when.strip('{ }')})" if when else row["help"]
    return {"__prompt__": question, **choices(name, row)} if "choices" in row else question


def choices(name: str, row: dict[str, Any]) -> dict[str, str]:
    """Return what each choice is called.

    cookiecutter has no question of several choices, so each selection is a choice that the
    validator takes.
    """
    given = row["choices"]
    pairs = given.items() if isinstance(given, dict) else zip(given, given, strict=True)
    labels = {choice: label for label, choice in pairs}
    if not row.get("multiselect"):
        return labels
    parts = [list(part) for size in range(len(labels) + 1) for part in combinations(labels, size)]
    refuses = JINJA.from_string(row["validator"])
    return {
        selection(part): ", ".join(part) if len(part) > 1 else labels[part[0]]
        for part in parts
        if not refuses.render({name: part}).strip()
    }


def selection(part: list[str]) -> str:
    """Return several choices as Copier reads them in a text."""
    return f"[{', '.join(part)}]"


def translated(text: str, asked: set[str]) -> str:
    """Return a default in which answers are called as cookiecutter calls them."""
    return "".join(
        f"cookiecutter.{token}" if kind == "name" and token in asked else token
        for _, kind, token in JINJA.lex(text)
    )


if __name__ == "__main__":
    config = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    text = json.dumps(written(config), indent=2, ensure_ascii=False)
    (ROOT / "cookiecutter.json").write_text(f"{text}\n", encoding="utf-8")
