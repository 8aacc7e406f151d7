"""The only place that knows file formats."""

from lossan.io._append import LineFile
from lossan.io._atomic import (
    atomic_file,
    make_folder,
    remove_file,
    remove_unfinished,
    sync,
)
from lossan.io._epochs import EpochFolder
from lossan.io._findings import (
    PARTS,
    SEQUENCES,
    SUMMARY,
    part_name,
    read_findings,
    write_findings,
    write_findings_part,
    write_sequences,
)
from lossan.io._labels import LabelsTable, read_labels, write_labels
from lossan.io._npz import read_arrays
from lossan.io._options import ReadOptions
from lossan.io._parts import Parts
from lossan.io._read import read_log, read_logs, scan_log
from lossan.io._remote import is_remote, open_remote, open_store
from lossan.io._results import PICTURE, check_output, clear_store, findings_folder
from lossan.io._source import recording_folder
from lossan.io._units import (
    Cut,
    Unit,
    cut_log,
    plain_batch,
    read_gathered,
    unit_batches,
    unit_columns,
)
from lossan.io._write import renumbered, write_log

__all__ = [
    "PARTS",
    "PICTURE",
    "SEQUENCES",
    "SUMMARY",
    "Cut",
    "EpochFolder",
    "LabelsTable",
    "LineFile",
    "Parts",
    "ReadOptions",
    "Unit",
    "atomic_file",
    "check_output",
    "clear_store",
    "cut_log",
    "findings_folder",
    "is_remote",
    "make_folder",
    "open_remote",
    "open_store",
    "part_name",
    "plain_batch",
    "read_arrays",
    "read_findings",
    "read_gathered",
    "read_labels",
    "read_log",
    "read_logs",
    "recording_folder",
    "remove_file",
    "remove_unfinished",
    "renumbered",
    "scan_log",
    "sync",
    "unit_batches",
    "unit_columns",
    "write_findings",
    "write_findings_part",
    "write_labels",
    "write_log",
    "write_sequences",
]
