"""From gathered arrays to a LossLog: the rules of the format that need no file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from lossan.columns import none_where_masked, null_fault, plain_column, to_arrow, unmasked
from lossan.errors import Fault, LogError, OptionError, hint
from lossan.losslog import (
    CHANNELS,
    FLOAT_CHANNELS,
    PROBABILITIES,
    STATIC_FIELDS,
    Coded,
    LossLog,
    check_metadata,
    encode,
)
from lossan.order import epoch_major, select_rows, stable_order


@dataclass
class Draft:
    """What a reader gathered, before the rules are applied.

    Arrays with a value a sample and epoch are epoch-major, of shape (n_epochs, n_samples).
    """

    sample_id: pa.Array
    loss: NDArray[np.float32]
    epochs: NDArray[np.int64]
    static: dict[str, pa.Array] = field(default_factory=dict)
    channels: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    predicted: Coded | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """A log with whatever is wrong with it; ``log`` is None where nothing could be made of it."""

    log: LossLog | None
    faults: tuple[Fault, ...]
    layout: str
    metadata: Mapping[str, Any]

    def unwrap(self, source: str) -> LossLog:
        """Return the log, or raise a LogError that tells every fault."""
        if self.faults or self.log is None:
            raise LogError(source, self.faults)
        return self.log


def build_log(
    loss: ArrayLike,
    *,
    sample_id: ArrayLike | pa.Array | None = None,
    metadata: Mapping[str, Any] | None = None,
    invalid: str = "error",
    **fields: Any,
) -> LossLog:
    """Build a checked log from arrays, in any order of samples.

    Parameters
    ----------
    loss : array_like
        Shape (n_samples, n_epochs); NaN = not observed.
    sample_id : array_like, optional
        Shape (n_samples,), unique integers or strings; row numbers stand in for it.
    metadata : mapping, optional
        What is known about the run.
    invalid : {"error", "mask"}
        What to do with infinite losses: refuse them, or take them as not observed.
    **fields
        Any other field of the format: ``label``, ``path``, ``margin`` and so on.

    Returns
    -------
    LossLog

    Raises
    ------
    LogError
        With all faults at once.
    OptionError
        For a field the format does not have, or another value of ``invalid``.

    Examples
    --------
    >>> log = build_log([[2.0, 1.0], [0.5, 0.1]], sample_id=["b", "a"])
    >>> log.sample_id.to_pylist(), log.loss.tolist()[0]
    (['a', 'b'], [0.5, 0.10000000149011612])
    """
    for name in fields:
        if name not in (*STATIC_FIELDS, *CHANNELS):
            raise OptionError(f"no field {name!r}; {hint(name, (*STATIC_FIELDS, *CHANNELS))}")
    if invalid not in ("error", "mask"):
        raise OptionError(f"invalid is {invalid!r}; {hint(invalid, ('error', 'mask'))}")
    given = {name: value for name, value in fields.items() if value is not None}
    reading = build_reading(
        loss, sample_id, given, metadata=dict(metadata or {}), invalid=invalid, layout="arrays"
    )
    return reading.unwrap("the arrays given")


def build_reading(
    loss: ArrayLike,
    sample_id: ArrayLike | pa.Array | None,
    fields: Mapping[str, Any],
    *,
    metadata: dict[str, Any],
    layout: str,
    invalid: str = "error",
    duplicates: str = "error",
    ours: bool = False,
) -> Reading:
    """Check arrays shape by shape and gather them into a draft; into it go those that are ours."""
    faults: list[Fault] = []
    matrix = _float_matrix("loss", loss, None, faults, ours=ours)
    if matrix is None:
        return Reading(None, tuple(faults), layout, metadata)
    n_epochs, n_samples = matrix.shape
    if sample_id is None:
        sample_id = np.arange(n_samples)
    ids = _names("sample_id", sample_id, n_samples, faults)
    draft = Draft(
        sample_id=ids,
        loss=matrix,
        epochs=np.arange(1, n_epochs + 1),
        metadata=metadata,
        faults=faults,
    )
    _add_fields(draft, fields, ours=ours)
    if ids is None:
        return Reading(None, tuple(faults), layout, metadata)
    return finish(draft, layout, invalid=invalid, duplicates=duplicates)


def finish(
    draft: Draft, layout: str, *, invalid: str = "error", duplicates: str = "error"
) -> Reading:
    """Apply every rule of the format to a draft: order, values, completeness."""
    if draft.sample_id.null_count:
        draft.faults.append(null_fault("sample_id", draft.sample_id.null_count))
        known = draft.sample_id.is_valid().to_numpy(zero_copy_only=False)
        draft.sample_id = draft.sample_id.drop_null()
        _select(draft, np.flatnonzero(known))
    _sort(draft, duplicates)
    _check_losses(draft, invalid)
    _check_channels(draft, invalid)
    draft.faults.extend(check_metadata(draft.metadata))
    log = LossLog(
        sample_id=draft.sample_id,
        loss=draft.loss.T,
        epochs=draft.epochs,
        predicted=None
        if draft.predicted is None
        else Coded(draft.predicted.codes.T, draft.predicted.values),
        metadata=draft.metadata,
        **draft.static,
        **{name: values.T for name, values in draft.channels.items()},
    )
    return Reading(log, tuple(draft.faults), layout, draft.metadata)


def _select(draft: Draft, rows: NDArray[np.intp]) -> None:
    """Keep what is known of these samples, in this order."""
    draft.static = {name: v.take(pa.array(rows)) for name, v in draft.static.items()}
    draft.loss = select_rows(draft.loss, rows)
    draft.channels = {name: select_rows(v, rows) for name, v in draft.channels.items()}
    if draft.predicted is not None:
        codes = select_rows(draft.predicted.codes, rows)
        draft.predicted = Coded(codes, draft.predicted.values)


def _sort(draft: Draft, duplicates: str) -> None:
    """Put samples in ascending order of their id and deal with ids that stand twice."""
    ids = draft.sample_id
    if len(ids) < 2 or pc.all(pc.less(ids[:-1], ids[1:])).as_py():
        return
    rows = stable_order(ids)
    ordered = ids.take(pa.array(rows))
    repeated = pc.equal(ordered[:-1], ordered[1:]).to_numpy(zero_copy_only=False)
    n_repeated = int(repeated.sum())
    if n_repeated:
        if duplicates == "error":
            first = ordered[int(np.flatnonzero(repeated)[0])].as_py()
            draft.faults.append(duplicate_fault(n_repeated, f"sample {first!r}"))
        # The order is stable, so the last of equals is the last row of the file.
        kept = np.append(~repeated, True)
        rows, ordered = rows[kept], ordered.filter(pa.array(kept))
    draft.sample_id = ordered
    _select(draft, rows)


def duplicate_fault(count: int, first: str) -> Fault:
    """Say how many rows repeat what another row says."""
    return Fault(
        "duplicate",
        f"{count} row{'s repeat' if count > 1 else ' repeats'} a sample and epoch already given, "
        f"first {first}. Remove them, or keep the last of each with --duplicates last.",
        count,
    )


def _check_losses(draft: Draft, invalid: str) -> None:
    n_epochs, n_samples = draft.loss.shape
    if n_samples == 0:
        draft.faults.append(Fault("empty", "it holds no samples.", 0))
        return
    if n_epochs < 2:
        held = f"it holds {n_epochs} epoch{'s' * (n_epochs != 1)}"
        draft.faults.append(Fault("one_epoch", f"{held}; a loss sequence needs at least 2."))
    if not _check_finite(draft, ("loss is", "losses are"), draft.loss, invalid):
        draft.faults.append(Fault("all_nan", "every loss is NaN or absent: nothing was observed."))


def _check_finite(
    draft: Draft, words: tuple[str, str], matrix: NDArray[np.float32], invalid: str
) -> bool:
    """Refuse infinite values, or mask them; return whether any was observed."""
    count, where, seen = 0, "", False
    for number, epoch in zip(draft.epochs, matrix, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(epoch.sum()):  # and so is every value: one pass instead of four
                seen = True
                continue
        infinite = np.isinf(epoch)
        found = int(infinite.sum())
        if found and not count:
            where = _first(draft, infinite, number)
        count += found
        if found and invalid == "mask":
            epoch[infinite] = np.nan
        seen = seen or not np.isnan(epoch).all()
    if count and invalid != "mask":
        message = (
            f"{count} {words[count > 1]} infinite (or beyond float32), first {where}. "
            "Find out why, or take them as not observed with --invalid mask."
        )
        draft.faults.append(Fault("infinite", message, count))
    return seen


def _first(draft: Draft, there: NDArray[np.bool_], number: int) -> str:
    """Name the first sample of which something is so at an epoch."""
    sample = draft.sample_id[int(np.flatnonzero(there)[0])].as_py()
    return f"sample {sample!r} at epoch {number}"


def _check_channels(draft: Draft, invalid: str) -> None:
    margin = draft.channels.get("margin")
    if margin is not None and margin.shape == draft.loss.shape:  # another is a fault already
        _check_finite(draft, ("margin is", "margins are"), margin, invalid)
    for name in PROBABILITIES:
        values = draft.channels.get(name)
        if values is None:
            continue
        count, first = 0, ""
        for number, epoch in zip(draft.epochs, values, strict=True):
            with np.errstate(invalid="ignore"):
                outside = (epoch < 0) | (epoch > 1)
            found = int(np.count_nonzero(outside))
            if found and not count:
                first = f"{epoch[outside][0]:g} of {_first(draft, outside, number)}"
            count += found
        if count:
            message = (
                f"{count} values of {name} lie outside [0, 1], first {first}; it holds "
                "probabilities."
            )
            draft.faults.append(Fault("probability", message, count))


def _float_matrix(
    name: str,
    values: ArrayLike,
    shape: tuple[int, int] | None,
    faults: list[Fault],
    *,
    ours: bool,
) -> NDArray[np.float32] | None:
    """Bring a (n_samples, n_epochs) array to an epoch-major float32 one of our own."""
    try:
        array = np.asarray(unmasked(values))
    except ValueError as error:
        faults.append(Fault("shape", f"{name} is not a rectangular array ({error})."))
        return None
    if array.ndim != 2:
        message = f"{name} has the shape {array.shape}; it must be (n_samples, n_epochs)."
        faults.append(Fault("shape", message))
    elif shape is not None and array.shape != shape:
        faults.append(Fault("shape", f"{name} has the shape {array.shape}, loss {shape}."))
    elif array.dtype.kind not in "fiu":
        message = f"{name} has the type {array.dtype}; it must be a number."
        faults.append(Fault("type", message))
    else:
        return epoch_major(array, copy=not ours)
    return None


def _names(name: str, values: Any, n_samples: int, faults: list[Fault]) -> pa.Array | None:
    """Bring ids, labels, paths or groups, one a sample, to a plain column."""
    column = to_arrow(name, values, faults)
    column = None if column is None else plain_column(name, column, faults)
    if column is not None and len(column) != n_samples:
        faults.append(Fault("shape", f"{name} has {len(column)} values, loss {n_samples} rows."))
        return None
    return column


def _add_fields(draft: Draft, fields: Mapping[str, Any], *, ours: bool) -> None:
    n_epochs, n_samples = draft.loss.shape
    for name in STATIC_FIELDS:
        if name in fields:
            column = _names(name, fields[name], n_samples, draft.faults)
            if column is not None:
                draft.static[name] = column
    for name in FLOAT_CHANNELS:
        if name in fields:
            matrix = _float_matrix(
                name, fields[name], (n_samples, n_epochs), draft.faults, ours=ours
            )
            if matrix is not None:
                draft.channels[name] = matrix
    if "predicted" in fields:
        draft.predicted = _coded_matrix(fields["predicted"], (n_samples, n_epochs), draft.faults)


def _coded_matrix(values: Any, shape: tuple[int, int], faults: list[Fault]) -> Coded | None:
    try:
        array = np.asarray(none_where_masked(values))
    except ValueError as error:
        faults.append(Fault("shape", f"predicted is not a rectangular array ({error})."))
        return None
    if array.shape != shape:
        faults.append(Fault("shape", f"predicted has the shape {array.shape}, loss {shape}."))
        return None
    column = to_arrow("predicted", np.ascontiguousarray(array.T).ravel(), faults)
    column = None if column is None else plain_column("predicted", column, faults)
    if column is None:
        return None
    coded = encode(column)
    return Coded(coded.codes.reshape(shape[::-1]), coded.values)
