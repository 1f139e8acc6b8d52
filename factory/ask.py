"""Answers for another version of the template: Copier itself asks and judges."""

import difflib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import yaml

from factory.errors import FactoryError
from factory.render import Source

_one_at_a_time = Lock()


def ask(source: Source, recorded: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers that a version records, without asking a person.

    Args:
        source: The version.
        recorded: What the project answered before, under the names of that time.
        given: What is answered otherwise now.

    Raises:
        FactoryError: A question that there is not, or an answer that the version refuses.
    """
    asked = [name for name, one in source.questions.items() if one.row.get("when") is not False]
    for name in given:
        if name not in asked:
            near = difflib.get_close_matches(name, asked, 1)
            hint = f"; {near[0]}?" if near else f": {', '.join(asked)}"
            raise FactoryError(f"no question is called {name}{hint}")
    data = {name: value for name, value in recorded.items() if not name.startswith("_")}
    data.update(given)
    from copier import Settings, run_copy  # half a second, which reading a fleet does not need

    options = ("_envops", "_min_copier_version")
    config = {name: source.config[name] for name in options if name in source.config}
    config |= {name: question.row for name, question in source.questions.items()}
    with tempfile.TemporaryDirectory(prefix="factory-ask-") as folder:
        template, target = Path(folder, "template"), Path(folder, "answered")
        template.mkdir()
        text = yaml.safe_dump(config, sort_keys=False)
        (template / "copier.yml").write_text(text, encoding="utf-8")
        text = "{{ _copier_answers | to_json }}"
        (template / "answers.json.jinja").write_text(text, encoding="utf-8")
        try:
            with _one_at_a_time:  # Copier may change what is the process's own
                run_copy(
                    str(template),
                    target,
                    data=data,
                    defaults=True,
                    quiet=True,
                    settings=Settings(),  # a person's own defaults are none of a fleet's
                )
        except Exception as error:  # an answer of another kind fails in any way
            said = " ".join(str(error).split())
            raise FactoryError(f"{said}; give another answer: --data NAME=VALUE") from error
        answers = json.loads((target / "answers.json").read_text(encoding="utf-8"))
    return {name: value for name, value in answers.items() if not name.startswith("_")}
