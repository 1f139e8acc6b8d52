"""Makes the project: Copier is handed what cookiecutter was answered, and judges it.

cookiecutter fills this file in and runs it in the new folder, which is empty until then. It is one
file, and the only hook, because what cookiecutter fills in can import nothing from beside it.
"""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

CONTEXT: dict[str, Any] = json.loads(r"""{{ cookiecutter | jsonify }}""")
ANSWERS = {name: answer for name, answer in CONTEXT.items() if not name.startswith("_")}

# How an address begins that Copier takes for a repository's; it also takes what ends in .git.
REPOSITORY = ("git@", "git://", "git+", "gh:", "gl:", "https://github.com/", "https://gitlab.com/")


def source() -> str:
    """Return the template's address, as Copier takes it and ``copier update`` finds it again."""
    template, used = CONTEXT["_template"], CONTEXT["_repo_dir"]
    if template.lower().endswith(".zip"):
        raise ValueError(
            f"{template} is an archive, and no project made from one could be updated: "
            "give the template's git URL or folder."
        )
    if template == used:
        return folder(template)
    if not (template.startswith(REPOSITORY) or "://" in template or "@" in template):
        template = origin(used)  # the name of an installed template, or an abbreviation
    known = template.startswith(REPOSITORY) or template.endswith(".git")
    return template if known else f"git+{template}"


def folder(template: str) -> str:
    """Return the absolute path of a folder that cookiecutter was given.

    A hook is not told where cookiecutter was called: mostly in the shell's folder, or where the
    project goes.
    """
    if Path(template).is_absolute():
        return template
    bases = {os.environ.get("PWD", ""), CONTEXT["_output_dir"]} - {""}
    found = {os.path.abspath(Path(base, template)) for base in bases}
    found = {path for path in found if Path(path, "copier.yml").is_file()}
    if len(found) != 1:
        raise ValueError(f"{template} is no folder that a hook can tell: give its absolute path.")
    return found.pop()


def origin(clone: str) -> str:
    """Return where cookiecutter cloned a template from."""
    command = ["git", "-C", clone, "remote", "get-url", "origin"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def make(project: Path) -> None:
    """Have Copier make the project.

    Raises:
        ValueError: What an answer, the template or the folder lacks, and what would do.
    """
    if any(project.iterdir()):
        raise ValueError(
            f"{project} is not empty. To renew a project: copier update, in its folder. "
            "To lay the template over another: copier copy."
        )
    try:
        from copier import run_copy
    except ModuleNotFoundError as error:
        raise ValueError(
            "Copier is not installed beside cookiecutter. Call uvx --with copier cookiecutter, or "
            "install copier where cookiecutter is. Your answers are kept: add --replay."
        ) from error
    try:
        made = run_copy(
            source(), project, data=ANSWERS, defaults=True, vcs_ref=CONTEXT["_checkout"]
        )
        if unknown := sorted(ANSWERS.keys() - made.template.questions_data.keys()):
            version = made.template.commit or source()
            raise ValueError(
                f"{version} does not ask for {', '.join(unknown)}: give --checkout {version}, "
                "or a version that does."
            )
    except BaseException:
        for path in project.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


if __name__ == "__main__":
    here = Path.cwd()
    try:
        make(here)
    except KeyboardInterrupt:
        # cookiecutter removes the folder after an error, but not then.
        with suppress(OSError):
            here.rmdir()
        sys.exit(130)
    except Exception as error:
        sys.exit(str(error))
