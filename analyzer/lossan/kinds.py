"""Ids, labels and classes are integers or strings, one kind throughout a recording."""

from collections.abc import Mapping
from typing import final

import numpy as np
import pyarrow as pa

from lossan.columns import kind_word
from lossan.errors import RecorderError
from lossan.pending import Column

_NAMES = {
    "sample_id": "ids",
    "label": "labels",
    "true_label": "true_labels",
    "path": "paths",
    "group": "groups",
    "predicted": "the values of predicted",
}


@final
class Kinds:
    """The kind of each field, settled by the first that come."""

    def __init__(self) -> None:
        self._settled: dict[str, str] = {}
        self._where: dict[str, str] = {}

    def settle(self, kinds: Mapping[str, str], where: str) -> None:
        """Keep kinds not known yet; where one is another than before, keep none.

        Parameters
        ----------
        kinds : mapping
            From field to kind, as `kinds_of` returns it.
        where : str
            Where they stood, for messages about later ones.

        Raises
        ------
        RecorderError
            When one is another than before.
        """
        if kinds.items() <= self._settled.items():  # as in nearly every call
            return
        for field, kind in kinds.items():
            before = self._settled.get(field, kind)
            if kind != before:
                raise RecorderError(
                    f"{_NAMES[field]} are {kind}, but {self._where[field]} they were {before}. "
                    "Use one kind throughout: convert them all to strings, or all to integers."
                )
        self._where = dict.fromkeys(kinds, where) | self._where
        self._settled |= kinds


def kinds_of(columns: Mapping[str, Column | pa.DataType]) -> dict[str, str]:
    """Return the kind of each column that holds ids or names, unless all of it is null."""
    found = {}
    for field, column in columns.items():
        if field not in _NAMES:
            continue
        if isinstance(column, np.ndarray):
            found[field] = "integers"
        elif not pa.types.is_null(kind := getattr(column, "type", column)):
            found[field] = kind_word(kind)
    return found
