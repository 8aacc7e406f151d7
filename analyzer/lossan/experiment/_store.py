"""The folder of an experiment: what stands where, and whether it is of the same experiment."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lossan.errors import OptionError, OutputError
from lossan.experiment._options import ExperimentOptions
from lossan.io import LabelsTable, atomic_file, make_folder, read_labels, write_labels
from lossan.training import SampleSet


@dataclass(frozen=True)
class Store:
    """Files of an experiment; each appears whole, and one that is there is not made again."""

    root: Path

    def open(self, options: ExperimentOptions, data: str) -> None:
        """Make the folder, or check that it holds this experiment.

        Parameters
        ----------
        options : ExperimentOptions
        data : str
            Fingerprint of the gold standard.

        Raises
        ------
        OptionError
            Naming the options that differ.
        """
        self.folder()
        mine = {**options.identity(), "data": data}
        file = self.root / "experiment.json"
        if file.exists():
            stored = _read_object(file)
            changed = sorted(k for k in {*mine, *stored} if stored.get(k) != mine.get(k))
            if changed:
                listed = "; ".join(
                    f"{k} was {stored.get(k)!r}, now {mine.get(k)!r}" for k in changed
                )
                raise OptionError(
                    f"{self.root} holds an experiment with other options ({listed}); give the "
                    "same ones to go on with it, or name another folder."
                )
            return
        others = [path.name for path in self.root.iterdir() if not path.name.startswith(".")]
        if others:
            raise OptionError(
                f"{self.root} holds other files ({', '.join(sorted(others)[:5])}); name a new or "
                "empty folder."
            )
        self.write_json("experiment.json", mine)

    def write_json(self, name: str, values: Any) -> None:
        """Write a JSON file."""
        with atomic_file(self.root / name) as file:
            file.write(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False).encode())

    def folder(self, *names: str) -> Path:
        """Return the root or a folder below it, made where it is not there."""
        folder = self.root.joinpath(*names)
        try:
            make_folder(folder)
        except OSError as error:
            raise OutputError.from_os_error(folder, error) from error
        return folder


def write_samples(
    path: Path, samples: SampleSet, rows: Any, labels: list[Any], truth: list[Any] | None
) -> None:
    """Write some samples as a labels table, unless it is there."""
    if path.exists():
        return
    columns: dict[str, list[Any]] = {
        "sample_id": [samples.ids[row] for row in rows],
        "path": [samples.paths[row] for row in rows],
        "label": labels,
    }
    if truth is not None:
        columns["true_label"] = truth
    if samples.groups is not None:
        columns["group"] = [samples.groups[row] for row in rows]
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    write_labels(LabelsTable(table, str(path)), path)


def read_columns(path: Path, *fields: str) -> list[list[Any]]:
    """Read columns of a labels table as lists."""
    table = read_labels(path, needed=fields)
    return [table.column(field).to_pylist() for field in fields]


def classes_of(*tables: Path) -> list[Any]:
    """Return the classes that stand in any of some labels tables, in the order of their indices."""
    names = {name for table in tables for name in read_columns(table, "label")[0]}
    if any(isinstance(name, str) for name in names):
        names = set(map(str, names))
    return sorted(names)


def _read_object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{file} is not JSON ({error}); name another folder.") from error
    if not isinstance(found, dict):
        raise OptionError(f"{file} does not describe an experiment; name another folder.")
    return found
