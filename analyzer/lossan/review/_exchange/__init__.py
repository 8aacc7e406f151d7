"""Queues for other programs, and decisions from them."""

from lossan.review._exchange._answers import Answer, Batch, import_answers
from lossan.review._exchange._csv import read_csv, write_csv
from lossan.review._exchange._fiftyone import read_fiftyone, write_fiftyone
from lossan.review._exchange._label_studio import (
    labelling_config,
    read_label_studio,
    write_label_studio,
)
from lossan.review._exchange._tasks import Tasks, make_tasks

__all__ = [
    "Answer",
    "Batch",
    "Tasks",
    "import_answers",
    "labelling_config",
    "make_tasks",
    "read_csv",
    "read_fiftyone",
    "read_label_studio",
    "write_csv",
    "write_fiftyone",
    "write_label_studio",
]
