"""Reads a repository's files within bounds: what is in it may be large, broken or meant to harm."""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml
from pathspec import GitIgnoreSpec

from factory.git import Git

LARGEST = 256 * 1024  # bytes of a file that is read
_ALL = 8 * 1024 * 1024  # bytes that are read of one repository
_MERGED = 1_000  # keys of a mapping, and mappings in a merge
_MOST = 100_000  # files that are listed of a folder
_LINK = "is a link, or no regular file, and is not followed"
_SKIPPED = {".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache"}


class UnreadableError(Exception):
    """A file that is there and can't be read; the message says why."""


class _Loader(yaml.SafeLoader):
    """Reads unknown tags (GitLab's !reference) as null. In Python: libyaml dies of deep nesting."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge what ``<<`` names, which each time may be ten times what it was before."""
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge" and len(value.value) > _MERGED:
                raise yaml.YAMLError(f"a merge of more than {_MERGED:,}")
        super().flatten_mapping(node)
        if len(node.value) > _MERGED:
            raise yaml.YAMLError(f"a mapping of more than {_MERGED:,} keys")


_Loader.add_multi_constructor("!", lambda *_: None)


class Files:
    """The files of one repository.

    Args:
        sizes: The size in bytes of every file by its path; None is no regular file.
        read: Returns the contents of files by their paths.
    """

    def __init__(
        self,
        sizes: Mapping[str, int | None],
        read: Callable[[list[str]], Mapping[str, bytes]],
    ) -> None:
        self._sizes = dict(sorted(sizes.items()))
        self._read = read
        self._left = _ALL
        self._texts: dict[str, str] = {}
        self._values: dict[str, tuple[Any, ...]] = {}
        self.unreadable: dict[str, str] = {}
        """Why a file that was asked for could not be read, by its path."""

    @classmethod
    def of(cls, contents: Mapping[str, bytes | str]) -> "Files":
        """Return files that are at hand."""
        given = {name: c.encode() if isinstance(c, str) else c for name, c in contents.items()}
        sizes = {name: len(content) for name, content in given.items()}
        return cls(sizes, lambda names: {name: given[name] for name in names})

    @classmethod
    def of_folder(cls, folder: Path) -> "Files":
        """Return the files below a folder, without what tools keep there."""
        sizes: dict[str, int | None] = {}
        for here, folders, names in os.walk(folder):
            linked = [name for name in folders if (Path(here) / name).is_symlink()]
            folders[:] = sorted(set(folders) - _SKIPPED)
            for name in [*names, *linked]:
                path = Path(here) / name
                regular = path.is_file() and not path.is_symlink()
                sizes[path.relative_to(folder).as_posix()] = (
                    path.stat().st_size if regular else None
                )
            if len(sizes) > _MOST:
                break

        def read(names: list[str]) -> dict[str, bytes]:
            return {name: _head(folder / name) for name in names}

        return cls(sizes, read)

    @classmethod
    def of_tree(cls, git: Git, tree: str) -> "Files":
        """Return the files of a tree in git, whether or not it is checked out."""
        sizes: dict[str, int | None] = {}
        blobs: dict[str, str] = {}
        listed = git("ls-tree", "-r", "-l", "-z", tree).decode(errors="surrogateescape")
        for line in listed.split("\0")[:-1]:
            head, path = line.split("\t", 1)
            mode, _, blob, size = head.split()
            sizes[path] = int(size) if mode.startswith("100") else None
            blobs[path] = blob

        def read(names: list[str]) -> dict[str, bytes]:
            found = git.blobs([blobs[name] for name in names])
            return {name: found[blobs[name]] for name in names}

        return cls(sizes, read)

    def match(self, patterns: Iterable[str]) -> list[str]:
        """Return the regular files that patterns as in .gitignore name, in order."""
        named = self.named(patterns)
        self.unreadable |= {name: _LINK for name in named if self._sizes[name] is None}
        return [name for name in named if self._sizes[name] is not None]

    def named(self, patterns: Iterable[str]) -> list[str]:
        """Return what patterns name, be it a regular file or a link."""
        spec = _spec(tuple(patterns))
        return [name for name in self._sizes if spec(name)]

    def size(self, name: str) -> int:
        """Return how many bytes a file has; 0 if it is absent."""
        return self._sizes.get(name) or 0

    def texts(self, patterns: Iterable[str]) -> dict[str, str]:
        """Return the text of every file that patterns name and that can be read."""
        named = self.named(patterns)
        self._fetch([n for n in named if n not in self._texts and n not in self.unreadable])
        return {name: self._texts[name] for name in named if name in self._texts}

    def text(self, name: str) -> str:
        """Return the text of a file; "" if it is absent.

        Raises:
            UnreadableError: It is too large, no text, or no regular file.
        """
        if name in self._sizes and name not in self._texts:
            if name not in self.unreadable:
                self._fetch([name])
            if name in self.unreadable:
                raise UnreadableError(self.unreadable[name])
        return self._texts.get(name, "")

    def documents(self, name: str) -> tuple[Any, ...]:
        """Return the YAML or JSON documents in a file; none if it is absent or empty.

        Raises:
            UnreadableError: It can't be read, or is neither.
        """
        if name not in self._values:
            text = self.text(name)
            if name in self.unreadable:
                raise UnreadableError(self.unreadable[name])
            try:
                self._values[name] = _parsed(text)
            except (yaml.YAMLError, RecursionError, ValueError) as error:
                mark = getattr(error, "problem_mark", None)
                where = f" (line {mark.line + 1})" if mark else ""
                self.unreadable[name] = f"is no YAML{where}"
                raise UnreadableError(self.unreadable[name]) from None
        return self._values[name]

    def _fetch(self, names: list[str]) -> None:
        wanted = []
        for name in names:
            size = self._sizes[name]
            if size is None:
                self.unreadable[name] = _LINK
            elif size > LARGEST:
                self.unreadable[name] = f"has {size:,} bytes; at most {LARGEST:,} are read"
            elif size > self._left:
                self.unreadable[name] = f"is past the {_ALL:,} bytes that are read of a repository"
            else:
                self._left -= size
                wanted.append(name)
        for name, content in (self._read(wanted) if wanted else {}).items():
            try:
                self._texts[name] = content.decode("utf-8-sig")
            except UnicodeDecodeError:
                self.unreadable[name] = "is no text in UTF-8"


def _head(path: Path) -> bytes:
    """Return a file's content, and never more of it than is to be read."""
    try:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        handle = os.open(path, flags)
        with open(handle, "rb") as file:
            return file.read(LARGEST + 1)[:LARGEST]
    except OSError:
        return b"\xff"  # no text, so it is named as unreadable


@lru_cache(128)
def _parsed(text: str) -> tuple[Any, ...]:
    """Return the documents of a text, once for all repositories that have it: not to be changed."""
    return tuple(yaml.load_all(text, Loader=_Loader))


@cache
def _spec(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    spec = GitIgnoreSpec.from_lines(patterns)
    return lru_cache(10_000)(spec.match_file)
