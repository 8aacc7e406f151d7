"""Several logs of one run into one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.build import Draft, duplicate_fault, finish
from lossan.errors import Fault, LogError
from lossan.losslog import FLOAT_CHANNELS, STATIC_FIELDS, Coded, LossLog


def merge_logs(
    logs: Sequence[LossLog], *, duplicates: str = "error", source: str = "the merged log"
) -> LossLog:
    """Merge logs that each hold a part of the samples or of the epochs.

    Parameters
    ----------
    logs : sequence of LossLog
    duplicates : {"error", "last"}
        What to do where two logs observed the same sample at the same epoch.
    source : str
        What to call the merged log in an error.

    Returns
    -------
    LossLog

    Raises
    ------
    LogError
        With every contradiction between the logs.
    """
    faults: list[Fault] = []
    kinds = {str(log.sample_id.type) for log in logs}
    modes = {log.recorded or "not stated" for log in logs}
    if len(kinds) > 1:
        faults.append(Fault("type", "sample ids are integers in some logs, strings in others."))
    if len(modes) > 1:
        shown = ", ".join(sorted(modes))
        faults.append(Fault("recorded", f"the logs were recorded in different ways: {shown}."))
    if faults:
        raise LogError(source, faults)
    if are_parts(logs):
        return join_parts(logs, source=source)
    return finish(_cell_by_cell(logs, duplicates), "merged").unwrap(source)


def are_parts(logs: Sequence[LossLog]) -> bool:
    """Tell whether logs have the same to say, each of samples that no other one has."""
    first = logs[0]
    alike = all(
        log.sample_id.type == first.sample_id.type
        and log.recorded == first.recorded
        and log.channels == first.channels
        and np.array_equal(log.epochs, first.epochs)
        for log in logs
    )
    if len(logs) == 1 or not alike:
        return alike
    ids = pa.chunked_array([log.sample_id for log in logs])
    return bool(pc.count_distinct(ids).as_py() == len(ids))


def join_parts(logs: Sequence[LossLog], *, source: str) -> LossLog:
    """Merge logs of which `are_parts` holds, as `merge_logs` does.

    Raises
    ------
    LogError
        With every contradiction between the logs.
    """
    draft = _side_by_side(logs) or _cell_by_cell(logs, "error")
    return finish(draft, "merged").unwrap(source)


def _side_by_side(logs: Sequence[LossLog]) -> Draft | None:
    """Put parts together; None where their columns are of several types."""
    static: dict[str, pa.Array] = {}
    for field in STATIC_FIELDS:
        columns = [v for log in logs if (v := getattr(log, field)) is not None]
        if len({str(column.type) for column in columns}) > 1:
            return None
        if columns:
            static[field] = pa.concat_arrays(columns)

    def joined(field: str) -> NDArray[np.float32]:
        return np.concatenate([getattr(log, field).T for log in logs], axis=1)

    coded = [log.predicted for log in logs if log.predicted is not None]
    if len({str(one.values.type) for one in coded}) > 1:
        return None
    return Draft(
        sample_id=pa.concat_arrays([log.sample_id for log in logs]),
        loss=joined("loss"),
        epochs=logs[0].epochs,
        static=static,
        channels={f: joined(f) for f in FLOAT_CHANNELS if getattr(logs[0], f) is not None},
        predicted=_one_coding(coded) if coded else None,
        metadata=dict(logs[0].metadata),
    )


def _one_coding(coded: Sequence[Coded]) -> Coded:
    values = pc.unique(pa.chunked_array([one.values for one in coded]))
    return Coded(np.concatenate([_codes(one, values) for one in coded], axis=1), values)


def _codes(coded: Coded, values: pa.Array) -> NDArray[np.int32]:
    """Return codes, epoch-major, into other values."""
    table = pc.index_in(coded.values, value_set=values).to_numpy(zero_copy_only=False)
    found: NDArray[np.int32] = np.append(table, -1).astype(np.int32)[coded.codes.T]
    return found


def _cell_by_cell(logs: Sequence[LossLog], duplicates: str) -> Draft:
    """Put logs together that may share samples, epochs, or both."""
    faults: list[Fault] = []
    ids = pc.unique(pa.chunked_array([log.sample_id for log in logs]))
    epochs = np.unique(np.concatenate([log.epochs for log in logs]))
    places = [_Place(log, ids, epochs) for log in logs]
    shape = (len(epochs), len(ids))
    loss = np.full(shape, np.nan, np.float32)
    repeated, first = 0, ""
    for place in places:
        clash = ~np.isnan(place.read(loss)) & ~np.isnan(place.log.loss.T)
        if clash.any() and not repeated:
            epoch, sample = (int(i[0]) for i in np.nonzero(clash))
            sample_id = place.log.sample_id[sample].as_py()
            first = f"sample {sample_id!r} at epoch {place.log.epochs[epoch]}"
        repeated += int(clash.sum())
        place.write(loss, place.log.loss.T, ~np.isnan(place.log.loss.T))
    if repeated and duplicates == "error":
        faults.append(duplicate_fault(repeated, first))
    return Draft(
        sample_id=ids,
        loss=loss,
        epochs=epochs,
        static=_static(places, ids, faults),
        channels=_channels(places, shape),
        predicted=_predicted(places, shape, faults),
        metadata=dict(logs[0].metadata),
        faults=faults,
    )


class _Place:
    """Where the samples and epochs of one log stand in the merged one."""

    def __init__(self, log: LossLog, ids: pa.Array, epochs: NDArray[np.int64]) -> None:
        self.log = log
        self.samples = pc.index_in(log.sample_id, value_set=ids).to_numpy(zero_copy_only=False)
        self._cells = np.ix_(np.searchsorted(epochs, log.epochs), self.samples)

    def read(self, matrix: NDArray[Any]) -> NDArray[Any]:
        return matrix[self._cells]

    def write(self, matrix: NDArray[Any], values: NDArray[Any], where: NDArray[np.bool_]) -> None:
        matrix[self._cells] = np.where(where, values, matrix[self._cells])


def _static(places: list[_Place], ids: pa.Array, faults: list[Fault]) -> dict[str, pa.Array]:
    found: dict[str, pa.Array] = {}
    for field in STATIC_FIELDS:
        for place in places:
            values = getattr(place.log, field)
            if values is None:
                continue
            rows = np.full(len(ids), -1, np.int64)
            rows[place.samples] = np.arange(len(place.samples))
            spread = values.take(pa.array(rows, mask=rows < 0))
            if field not in found or found[field].null_count == len(ids):
                found[field] = spread
                continue
            if spread.null_count == len(ids):
                continue  # a column without values has no type of its own either
            if spread.type != found[field].type:
                faults.append(Fault("type", f"{field} has different types in the logs."))
                break
            differs = pc.fill_null(pc.not_equal(found[field], spread), False)
            count = int(pc.sum(differs).as_py() or 0)
            if count:
                first = ids.filter(differs)[0].as_py()
                message = f"{field} differs between the logs for {count} samples, first {first!r}."
                faults.append(Fault(f"{field}_changes", message, count))
            found[field] = pc.coalesce(found[field], spread)
    return found


def _channels(places: list[_Place], shape: tuple[int, int]) -> dict[str, NDArray[np.float32]]:
    channels = {}
    for field in FLOAT_CHANNELS:
        holders = [p for p in places if getattr(p.log, field) is not None]
        if holders:
            matrix = channels[field] = np.full(shape, np.nan, np.float32)
            for place in holders:
                values = getattr(place.log, field).T
                place.write(matrix, values, ~np.isnan(values))
    return channels


def _predicted(places: list[_Place], shape: tuple[int, int], faults: list[Fault]) -> Coded | None:
    holders = [p for p in places if p.log.predicted is not None and len(p.log.predicted.values)]
    if not holders:
        return None
    coded = [p.log.predicted for p in holders if p.log.predicted is not None]
    if len({str(c.values.type) for c in coded}) > 1:
        faults.append(Fault("type", "predicted has different types in the logs."))
        return None
    values = pc.unique(pa.chunked_array([c.values for c in coded]))
    matrix = np.full(shape, -1, np.int32)
    for place, own in zip(holders, coded, strict=True):
        codes = _codes(own, values)
        place.write(matrix, codes, codes >= 0)
    return Coded(matrix, values)
