"""Several logs of one run into one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.build import Draft, duplicate_fault, finish
from lossan.columns import kind_word
from lossan.errors import Fault, LogError
from lossan.losslog import FLOAT_CHANNELS, STATIC_FIELDS, Coded, LossLog, places_among


def merge_logs(
    logs: Sequence[LossLog],
    *,
    names: Sequence[str] | None = None,
    duplicates: str = "error",
    source: str = "the merged log",
) -> LossLog:
    """Merge logs that each hold a part of the samples or of the epochs.

    Parameters
    ----------
    logs : sequence of LossLog
    names : sequence of str, optional
        What to call each of them in an error; "log 1" and so on if not given.
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
    names = [f"log {k + 1}" for k in range(len(logs))] if names is None else names
    faults: list[Fault] = []
    kinds = _first_of_each([kind_word(log.sample_id.type) for log in logs], names)
    modes = _first_of_each([log.recorded or "not stated" for log in logs], names)
    if len(kinds) > 1:
        faults.append(Fault("type", f"sample ids have different types: {', '.join(kinds)}."))
    if len(modes) > 1:
        message = f"the logs were recorded in different ways: {', '.join(modes)}."
        faults.append(Fault("recorded", message))
    if faults:
        raise LogError(source, faults)
    if are_parts(logs):
        return join_parts(logs, names=names, source=source)
    return finish(_cell_by_cell(logs, names, duplicates), "merged").unwrap(source)


def _first_of_each(values: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return each value once, in order, with the first log that has it."""
    first = dict(zip(reversed(values), reversed(names), strict=True))
    return [f"{value} ({first[value]})" for value in sorted(first)]


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


def join_parts(logs: Sequence[LossLog], *, names: Sequence[str], source: str) -> LossLog:
    """Merge logs of which `are_parts` holds, as `merge_logs` does.

    Raises
    ------
    LogError
        With every contradiction between the logs.
    """
    draft = _side_by_side(logs) or _cell_by_cell(logs, names, "error")
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
    table = np.append(places_among(coded.values, values), -1)
    found: NDArray[np.int32] = table.astype(np.int32)[coded.codes.T]
    return found


def _cell_by_cell(logs: Sequence[LossLog], names: Sequence[str], duplicates: str) -> Draft:
    """Put logs together that may share samples, epochs, or both."""
    faults: list[Fault] = []
    ids = pc.unique(pa.chunked_array([log.sample_id for log in logs]))
    epochs = np.unique(np.concatenate([log.epochs for log in logs]))
    places = [_Place(log, name, ids, epochs) for log, name in zip(logs, names, strict=True)]
    shape = (len(epochs), len(ids))
    loss = np.full(shape, np.nan, np.float32)
    repeated, first = 0, ""
    for number, place in enumerate(places):
        clash = ~np.isnan(place.read(loss)) & ~np.isnan(place.log.loss.T)
        if clash.any() and not repeated:
            first = _first_clash(places[:number], place, clash)
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


def _first_clash(before: Sequence["_Place"], place: "_Place", clash: NDArray[np.bool_]) -> str:
    """Name the first cell that a log and one before it observed, and both logs."""
    row, column = (int(i[0]) for i in np.nonzero(clash))
    epoch, sample = place.log.epochs[row], place.samples[column]
    earlier = next(p.name for p in before if p.observes(epoch, sample))
    sample_id = place.log.sample_id[column].as_py()
    return f"sample {sample_id!r} at epoch {epoch} in {earlier} and {place.name}"


class _Place:
    """Where the samples and epochs of one log stand in the merged one."""

    def __init__(self, log: LossLog, name: str, ids: pa.Array, epochs: NDArray[np.int64]) -> None:
        self.log = log
        self.name = name
        self.samples = places_among(log.sample_id, ids)
        self._cells = np.ix_(np.searchsorted(epochs, log.epochs), self.samples)

    def read(self, matrix: NDArray[Any]) -> NDArray[Any]:
        return matrix[self._cells]

    def observes(self, epoch: int, sample: int) -> bool:
        """Tell whether it has the loss of the merged log's sample at an epoch."""
        rows, columns = self.samples == sample, self.log.epochs == epoch
        return bool((~np.isnan(self.log.loss[rows][:, columns])).any())

    def spread(self, field: str, n_samples: int) -> pa.Array | None:
        """Return a column of the log with a place for each sample of the merged one."""
        values = getattr(self.log, field)
        if values is None:
            return None
        rows = np.full(n_samples, -1, np.int64)
        rows[self.samples] = np.arange(len(self.samples))
        return values.take(pa.array(rows, mask=rows < 0))

    def write(self, matrix: NDArray[Any], values: NDArray[Any], where: NDArray[np.bool_]) -> None:
        matrix[self._cells] = np.where(where, values, matrix[self._cells])


def _static(places: list[_Place], ids: pa.Array, faults: list[Fault]) -> dict[str, pa.Array]:
    found: dict[str, pa.Array] = {}
    for field in STATIC_FIELDS:
        spread = [(place, place.spread(field, len(ids))) for place in places]
        # a column without values has no type of its own either
        known = [(p.name, v) for p, v in spread if v is not None and v.null_count < len(v)]
        kinds = _first_of_each([kind_word(v.type) for _, v in known], [name for name, _ in known])
        if len(kinds) > 1:
            message = f"{field} has different types in the logs: {', '.join(kinds)}."
            faults.append(Fault("type", message))
        elif known:
            found[field] = pc.coalesce(*(values for _, values in known))
            _tell_changes(field, found[field], known, ids, faults)
        elif any(values is not None for _, values in spread):
            found[field] = next(values for _, values in spread if values is not None)
    return found


def _tell_changes(
    field: str,
    agreed: pa.Array,
    known: list[tuple[str, pa.Array]],
    ids: pa.Array,
    faults: list[Fault],
) -> None:
    """Tell of samples for which a log says something else than the first that says anything."""
    for name, values in known:
        differs = pc.fill_null(pc.not_equal(agreed, values), False)
        count = int(pc.sum(differs).as_py() or 0)
        if not count:
            continue
        row = pc.index(differs, True).as_py()
        first = next(n for n, v in known if v[row].is_valid)
        faults.append(
            Fault(
                f"{field}_changes",
                f"{field} differs between the logs for {count} sample{'s' * (count > 1)}, first "
                f"{ids[row].as_py()!r}: {agreed[row].as_py()!r} in {first}, "
                f"{values[row].as_py()!r} in {name}.",
                count,
            )
        )


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
    kinds = _first_of_each([kind_word(c.values.type) for c in coded], [p.name for p in holders])
    if len(kinds) > 1:
        message = f"predicted has different types in the logs: {', '.join(kinds)}."
        faults.append(Fault("type", message))
        return None
    values = pc.unique(pa.chunked_array([c.values for c in coded]))
    matrix = np.full(shape, -1, np.int32)
    for place, own in zip(holders, coded, strict=True):
        codes = _codes(own, values)
        place.write(matrix, codes, codes >= 0)
    return Coded(matrix, values)
