"""A layer below the file operations of this process, which knows what a power cut leaves of them.

Promised to last are a file's bytes once the file was flushed by fsync, and a folder's entries
(new names, renames, removals) once the folder was. Of all else any part may be lost, in any order,
a rename though is whole; so POSIX has it, file systems promise more.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

Tree = dict[str, bytes | None]
"""Files with their bytes, folders with none, by their path below the root."""

_MOST = 4  # pending operations of which every subset is tried
_RANDOM = 8  # subsets tried of more of them, beside the telling ones


@dataclass(eq=False)
class _Node:
    """A file or a folder: as it is, and as it is on disk."""

    inode: int
    entries: dict[str, "_Node"] | None = None
    flushed_entries: dict[str, "_Node"] = field(default_factory=dict)
    data: bytes = b""
    flushed_data: bytes = b""


_Change = tuple[_Node, str, _Node | None]  # in a folder, what a name becomes


@dataclass(frozen=True)
class Cut:
    """What a power cut may leave.

    Parameters
    ----------
    tree : dict
    promise : int
        How much the subject had been told is safe.
    where : str
        The operation that the cut came before.
    """

    tree: Tree
    promise: int
    where: str

    def lay(self, folder: Path) -> None:
        """Write it into an empty folder."""
        for name, data in self.tree.items():
            path = folder / name
            if data is None:
                path.mkdir(parents=True)
            else:
                path.write_bytes(data)


class Disk:
    """Watches the file operations below a folder while it is entered.

    Parameters
    ----------
    root : Path
        What is in it already counts as flushed.
    seed : int
        Of the choice among many pending operations.

    Raises
    ------
    RuntimeError
        When a file was removed or renamed by a call that is not watched.
    """

    def __init__(self, root: Path, seed: int = 0) -> None:
        self._root, self._random = root, Random(seed)  # noqa: S311
        self._pending: list[list[_Change]] = []
        self._nodes: dict[int, _Node] = {}
        self._cuts: dict[bytes, Cut] = {}
        self._top = self._node(root)
        self._scan(self._top, root)
        for change in self._pending:
            _apply(change, flushed=True)
        self._pending.clear()
        for node in self._nodes.values():
            node.flushed_data = node.data
        self.promise = 0

    @property
    def cuts(self) -> list[Cut]:
        """Every state that a power cut could have left, each once."""
        return list(self._cuts.values())

    def __enter__(self) -> "Disk":
        self._real = {name: getattr(os, name) for name in _WATCHED}
        for name in _WATCHED:
            setattr(os, name, self._watched(name))
        return self

    def __exit__(self, *_: object) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)
        self._cut("the end")

    def _watched(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self._cut(f"{name} {Path(str(arguments[0])).name}")
            result = self._real[name](*arguments, **named)
            if name == "fsync":
                self._flush(self._nodes.get(os.fstat(arguments[0]).st_ino))
            elif name in ("rename", "replace"):
                self._rename(self._place(arguments[0]), self._place(arguments[1]))
            else:
                self._remove(self._place(arguments[0], named.get("dir_fd")))
            return result

        return call

    def _place(self, path: Any, folder: int | None = None) -> tuple[_Node, str] | None:
        """Return the folder and the name of a path, None outside the root."""
        if folder is not None:
            node = self._nodes.get(os.fstat(folder).st_ino)
            return None if node is None else (node, str(path))
        absolute = Path(path).absolute()
        if self._root not in absolute.parents:
            return None
        node = self._top
        for name in absolute.relative_to(self._root).parts[:-1]:
            node = (node.entries or {})[name]
        return node, absolute.name

    def _flush(self, node: _Node | None) -> None:
        if node is None:
            return
        node.flushed_data = node.data
        kept = []
        for change in self._pending:
            if any(folder is node for folder, _, _ in change):
                _apply(change, flushed=True)
            else:
                kept.append(change)
        self._pending = kept

    def _rename(self, old: tuple[_Node, str] | None, new: tuple[_Node, str] | None) -> None:
        if old is None or new is None:
            return
        self._do([(*old, None), (*new, (old[0].entries or {})[old[1]])])

    def _remove(self, place: tuple[_Node, str] | None) -> None:
        if place is not None:
            self._do([(*place, None)])

    def _do(self, change: list[_Change]) -> None:
        _apply(change, flushed=False)
        self._pending.append(change)

    def _node(self, path: Path) -> _Node:
        inode = path.stat().st_ino
        node = _Node(inode, {} if path.is_dir() else None)
        self._nodes[inode] = node
        return node

    def _scan(self, node: _Node, path: Path) -> None:
        """Take in what was made and written since the last operation."""
        if node.entries is None:
            node.data = path.read_bytes()
            return
        there = {entry.name: entry.inode() for entry in os.scandir(path)}
        for name in sorted(there.keys() - node.entries.keys()):
            self._do([(node, name, self._node(path / name))])
        for name, below in node.entries.items():
            if there.get(name) != below.inode:
                raise RuntimeError(f"{path / name} was removed or renamed unwatched")
            self._scan(below, path / name)

    def _cut(self, where: str) -> None:
        self._scan(self._top, self._root)
        for chosen in self._subsets():
            for left in _LEFT.values():
                tree = self._tree(chosen, left)
                digest = hashlib.sha256(repr((sorted(tree.items()), self.promise)).encode())
                self._cuts.setdefault(digest.digest(), Cut(tree, self.promise, where))

    def _subsets(self) -> Iterator[tuple[int, ...]]:
        """Yield which pending operations reached the disk."""
        every = range(len(self._pending))
        if len(every) <= _MOST:
            for size in range(len(every) + 1):
                yield from combinations(every, size)
            return
        yield ()
        for last in every:
            yield tuple(every[: last + 1])  # in order up to one
            yield (last,)  # one alone
            yield tuple(i for i in every if i != last)  # all but one
        for _ in range(_RANDOM):
            yield tuple(i for i in every if self._random.random() < 0.5)

    def _tree(self, chosen: tuple[int, ...], left: Any) -> Tree:
        entries: dict[int, dict[str, _Node]] = {}
        for i in chosen:
            for folder, name, node in self._pending[i]:
                names = entries.setdefault(folder.inode, dict(folder.flushed_entries))
                _set(names, name, node)
        tree: Tree = {}

        def walk(folder: _Node, prefix: str) -> None:
            for name, node in entries.get(folder.inode, folder.flushed_entries).items():
                path = f"{prefix}{name}"
                if node.entries is None:
                    tree[path] = left(node)
                else:
                    tree[path] = None
                    walk(node, f"{path}/")

        walk(self._top, "")
        return tree


_WATCHED = ("fsync", "rename", "replace", "unlink", "remove", "rmdir")


def _part(node: _Node) -> bytes:
    return node.data[: len(node.data) // 2] if node.data != node.flushed_data else node.data


def _zeros(node: _Node) -> bytes:
    return bytes(len(node.data)) if node.data != node.flushed_data else node.data


_LEFT = {
    "nothing": lambda node: node.flushed_data,
    "a part": _part,
    "zeros": _zeros,
    "all": lambda node: node.data,
}
"""What may be left of bytes that were not flushed."""


def _apply(change: list[_Change], *, flushed: bool) -> None:
    for folder, name, node in change:
        _set(folder.flushed_entries if flushed else folder.entries, name, node)


def _set(entries: dict[str, _Node], name: str, node: _Node | None) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node
