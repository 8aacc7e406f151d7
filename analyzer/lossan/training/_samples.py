"""The samples of a training: from a labels table or a tree of class folders."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossan.errors import TableError
from lossan.io import LabelsTable, read_labels
from lossan.losslog import encode
from lossan.training._images import SUFFIXES, check_images

_LISTED = 20  # unreadable images named in a message; the rest are counted


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Samples with their images and labels.

    Parameters
    ----------
    ids : list
        Unique, integers or strings.
    files : list of Path
    paths : list of str
        As the table has them.
    labels : ndarray of int64
        Shape (n_samples,), indices into ``classes``.
    classes : list
        Names of the classes in index order.
    true_labels, groups : list, optional
        As the table has them.
    """

    ids: list[Any]
    files: list[Path]
    paths: list[str]
    labels: NDArray[np.int64]
    classes: list[Any]
    true_labels: list[Any] | None = None
    groups: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def given(self) -> list[Any]:
        """Return the given labels as class names."""
        return [self.classes[code] for code in self.labels.tolist()]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, given labels and paths, in order: chance goes by the row."""
        return _digest([self.ids, self.given(), self.paths])

    @property
    def test_fingerprint(self) -> str:
        """SHA-256 over ids and given labels as text, in order: what two runs were tested on.

        Where the images lie is none of it, as they may be prepared in two ways to be compared.
        """
        return fingerprint_of_test(self.ids, self.given())


def fingerprint_of_test(ids: Sequence[Any], labels: Sequence[Any]) -> str:
    """Return what `SampleSet.test_fingerprint` is of these samples, without their images."""
    return _digest([[str(name) for name in names] for names in (ids, labels)])


def read_samples(
    source: Path,
    images: Path | None,
    *,
    classes: Sequence[Any] | None = None,
    skip_unreadable: bool = False,
) -> tuple[SampleSet, list[str]]:
    """Read samples and check every image before the first epoch.

    Parameters
    ----------
    source : Path
        A labels table with ``sample_id``, ``path``, ``label``; or a folder of class folders.
    images : Path, optional
        What paths are relative to.
    classes : sequence, optional
        The classes of the training set, which a test set must keep to. Where they are text,
        labels that all read as integers are text as well.
    skip_unreadable : bool
        Leave unreadable images out.

    Returns
    -------
    SampleSet
    list of str
        What was left out, a line an image.

    Raises
    ------
    TableError
        With every fault found.
    """
    table = _folder_table(source) if source.is_dir() else read_labels(source)
    root = images or (source if source.is_dir() else source.parent)
    if not table.has("path"):
        raise TableError(
            f"{table.name}: there is no column 'path'; training needs the images' paths."
        )
    coded = encode(table.column("label"))
    known = None if classes is None else list(classes)
    names = _like(known, coded.values.to_pylist())
    if classes is None and len(names) < 2:
        raise TableError(
            f"{table.name} holds one class only ({names[0]!r}); a classifier needs at least two."
        )
    known = known or names
    outside = [name for name in names if name not in known]
    if outside:
        raise TableError(
            f"{table.name}: labels outside the classes of the training set: "
            f"{', '.join(map(repr, outside[:_LISTED]))}; they are: {', '.join(map(repr, known))}."
        )
    paths = [str(path) for path in table.table["path"].to_pylist()]
    files = [root / path for path in paths]
    _check_inside(table.name, root, paths)
    problems = check_images(files)
    if problems and not skip_unreadable:
        raise TableError(_unreadable(table.name, paths, problems))
    keep = [i for i in range(len(paths)) if i not in problems]
    if not keep:
        raise TableError(_unreadable(table.name, paths, problems))
    place = {name: code for code, name in enumerate(known)}
    labels = np.array([place[names[coded.codes[i]]] for i in keep], np.int64)
    if classes is None and len(np.unique(labels)) < 2:
        raise TableError(f"{table.name}: fewer than two classes have an image that can be read.")

    def column(field: str) -> list[Any]:
        values = table.column(field).to_pylist()
        return [values[i] for i in keep]

    found = SampleSet(
        ids=column("sample_id"),
        files=[files[i] for i in keep],
        paths=[paths[i] for i in keep],
        labels=labels,
        classes=known,
        true_labels=_like(classes, column("true_label")) if table.has("true_label") else None,
        groups=column("group") if table.has("group") else None,
    )
    return found, [f"{paths[i]}: {why}" for i, why in problems.items()]


def epoch_order(n_samples: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order in which an epoch shows the samples; it depends on nothing else."""
    return np.random.default_rng((seed, 1, epoch)).permutation(n_samples)


def batch_rows(order: Any, size: int) -> list[list[int]]:
    """Split an order into batches; a last batch of one joins the one before.

    Batch norm has no variance for a batch of one sample, and every sample must be seen.

    Examples
    --------
    >>> batch_rows(range(5), 2)
    [[0, 1], [2, 3, 4]]
    """
    rows = [int(row) for row in order]
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    if size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [batches[-2] + batches[-1]]
    return batches


def sample_rng(index: int, *, seed: int, epoch: int) -> np.random.Generator:
    """Return the source of a sample's augmentation at an epoch, whichever worker reads it."""
    return np.random.default_rng((seed, 2, epoch, index))


def _like(classes: Sequence[Any] | None, names: list[Any]) -> list[Any]:
    """Return names as text where the classes are: a table of "1" and "2" alone reads as integers.

    Examples
    --------
    >>> _like(["1", "2", "other"], [1, None, 2]), _like([1, 2], [2, 1])
    (['1', None, '2'], [2, 1])
    """
    if not any(isinstance(name, str) for name in classes or ()):
        return names
    return [None if name is None else str(name) for name in names]


def _digest(rows: Any) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(rows).encode()).hexdigest()}"


def _folder_table(folder: Path) -> LabelsTable:
    found = sorted(
        path
        for path in folder.glob("*/**/*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not found:
        raise TableError(
            f"{folder} holds no images in class folders; expected is {folder}/CLASS/image.png."
        )
    paths = [path.relative_to(folder).as_posix() for path in found]
    labels = [path.relative_to(folder).parts[0] for path in found]
    columns = {"sample_id": paths, "path": paths, "label": labels}
    return LabelsTable(
        pa.table({name: pa.array(values, pa.large_string()) for name, values in columns.items()}),
        str(folder),
    )


def _check_inside(name: str, root: Path, paths: list[str]) -> None:
    """Refuse a table that names files outside the folder of images: it may come from anywhere.

    Links in the folder are followed: whoever made the folder made them.
    """
    top, real = os.path.abspath(root), os.path.realpath(root)  # noqa: PTH100  (pathlib keeps '..')

    def inside(path: str) -> bool:
        if Path(os.path.abspath(root / path)).is_relative_to(top):  # noqa: PTH100  (pathlib keeps '..')
            return True
        return Path(os.path.realpath(root / path)).is_relative_to(real)

    outside = [path for path in paths if "\0" in path or not inside(path)]
    if outside:
        raise TableError(
            f"{name}: {len(outside)} of {len(paths)} paths lead out of the folder of images "
            f"{root}, first {outside[0]!r}. Name the folder that holds them all by --images."
        )


def _unreadable(name: str, paths: list[str], problems: dict[int, str]) -> str:
    lines = [f"  {paths[i]}: {why}" for i, why in list(problems.items())[:_LISTED]]
    more = len(problems) - len(lines)
    if more:
        lines.append(f"  and {more} more")
    listed = "\n".join(lines)
    some = len(problems) < len(paths)  # of none left out nothing would be left
    skip = ", or leave them out by --skip-unreadable" if some else ""
    return (
        f"{name}: {len(problems)} of {len(paths)} images cannot be read:\n{listed}\n"
        f"Mend them{',' if some else ' or'} name their folder by --images{skip}."
    )
