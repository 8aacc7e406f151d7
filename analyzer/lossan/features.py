"""The six features F1 to F6 of a loss sequence (Zhang et al. 2021, section 2)."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lossan.blocks import cut, map_blocks, scratch
from lossan.errors import OptionError

FEATURES = (
    "f1_mean",
    "f2_early_mean",
    "f3_drop_position",
    "f4_mean_before_drop",
    "f5_mean_after_drop",
    "f6_drop_extent",
)

# Two float64 blocks of (n_epochs, block): small enough for the last-level cache, but of many
# epochs large enough that numpy's cost a call, which threads wait for each other to pay, does not
# count (measured by tests/benchmarks/features.py).
_CACHE_BYTES, _MOST_BYTES = 1 << 23, 1 << 26
_CALL_SAMPLES = 8192


def usual_early(n_epochs: int) -> int:
    """Return P of feature F2 where none is given: half of the epochs, at least 1."""
    return max(1, n_epochs // 2)


class Features:
    """F1 to F6 of every sample.

    Parameters
    ----------
    values : ndarray of float64
        Shape (6, n_samples), in the order of `FEATURES`; NaN for a sample observed at fewer than
        two epochs.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._values = values

    @property
    def values(self) -> NDArray[np.float64]:
        """Shape (6, n_samples), in the order of `FEATURES`."""
        return self._values

    @property
    def held(self) -> bool:
        """Whether they are in memory, or made when they are asked for."""
        return True

    @cached_property
    def scorable(self) -> NDArray[np.bool_]:
        """Shape (n_samples,): which samples have features."""
        return ~np.isnan(self.values[0])

    def part(self, samples: slice) -> NDArray[np.float64]:
        """Return the features of some samples one after another, shape (6, n).

        They may be gone when this thread asks for the next ones.
        """
        return self.values[:, samples]

    def first(self, samples: slice) -> NDArray[np.float64]:
        """Return F1 of some samples one after another, shape (n,), as `part` does."""
        return self.part(samples)[0]

    def take(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return the features of some samples, by their rows; shape (6, n_rows)."""
        return self.values[:, rows]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return one feature by its name, shape (n_samples,)."""
        return self.values[FEATURES.index(name)]


@final
class _Deferred(Features):
    """Features made anew for each part of the samples, until all are asked for."""

    def __init__(self, loss: NDArray[np.float32], early_epochs: int | None) -> None:
        self._loss, self._early = loss, early_epochs
        self._drops = np.zeros(len(loss), np.uint8)  # F3 is what costs most to find, and small

    @property
    def values(self) -> NDArray[np.float64]:
        if not self.held:
            self._values = _compute(self._loss, self._early)
        return self._values

    @property
    def held(self) -> bool:
        return hasattr(self, "_values")

    @cached_property
    def scorable(self) -> NDArray[np.bool_]:
        return _observed_twice(self._loss.T)

    def part(self, samples: slice) -> NDArray[np.float64]:
        if self.held:
            return self._values[:, samples]
        loss = self._loss[samples]
        values = scratch("features", (len(FEATURES), len(loss)))
        return _part(loss, self._early, values, self._drops[samples])

    def first(self, samples: slice) -> NDArray[np.float64]:
        loss = self._loss[samples].T
        if self.held or len(loss) < 2:
            return self.part(samples)[0]
        level = scratch("level", loss.shape[1:])
        np.add.reduce(loss, axis=0, dtype=np.float64, out=level)
        level /= len(loss)
        return self.part(samples)[0] if np.isnan(level.sum()) else level

    def take(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        if self.held:
            return self._values[:, rows]
        return _part(self._loss[rows], self._early, np.empty((len(FEATURES), len(rows))))


def features_of(loss: NDArray[np.float32], *, early_epochs: int | None = None) -> Features:
    """Return what `compute_features` does, with less memory where there are few epochs.

    Features that would take more than the losses they are made of are made when they are asked
    for, of the samples they are asked for. It takes as long: memory that must be had first costs
    as much as to compute them once more, or more.
    """
    _check_early(loss, early_epochs)
    if loss.dtype.itemsize * loss.shape[1] >= 8 * len(FEATURES):
        return Features(_compute(loss, early_epochs))
    return _Deferred(loss, early_epochs)


def compute_features(loss: NDArray[np.float32], *, early_epochs: int | None = None) -> Features:
    """Compute F1 to F6 of each sample over its observed epochs.

    Sums are taken in float64. A sample with gaps is treated as the shorter sequence of what was
    observed, its early epochs by default half of that.

    Parameters
    ----------
    loss : array_like
        Shape (n_samples, n_epochs); NaN = not observed. Fastest if epoch-major in memory.
    early_epochs : int, optional
        P of feature F2, from 1 to n_epochs - 1; by default half of the epochs, at least 1.

    Returns
    -------
    Features

    Raises
    ------
    OptionError
        For early epochs outside 1 to n_epochs - 1, or losses of another shape or no numbers.

    References
    ----------
    Zhang et al. 2021, An Automated Method of Identifying Incorrectly Labelled Images Based on the
    Sequences of Loss Functions of Deep Learning Networks, section 2: F1 is the mean of the
    sequence, F2 that of its first P terms, F3 the position Q of the largest decrease, F4 and F5 the
    means before and after it, F6 = F4 - F5.

    Examples
    --------
    >>> features = compute_features(np.array([[4.0, 3.0, 1.0, 0.0]]))
    >>> features.values[:, 0].tolist()
    [2.0, 3.5, 2.0, 3.5, 0.5, 3.0]
    """
    loss = np.asarray(loss)
    if loss.ndim != 2 or loss.dtype.kind not in "fiu":
        raise OptionError(
            f"loss has the shape {loss.shape} and the type {loss.dtype}; needed: numbers of the "
            "shape (n_samples, n_epochs)."
        )
    _check_early(loss, early_epochs)
    return Features(_compute(loss, early_epochs))


def _check_early(loss: NDArray[np.float32], early_epochs: int | None) -> None:
    n_epochs = loss.shape[1]
    if early_epochs is not None and not 1 <= early_epochs < max(n_epochs, 2):
        raise OptionError(
            f"early epochs is {early_epochs}; allowed: 1 to {n_epochs - 1}, one less than the "
            "epochs of the log."
        )


def _compute(loss: NDArray[np.float32], early: int | None) -> NDArray[np.float64]:
    n_samples, n_epochs = loss.shape
    values = np.empty((len(FEATURES), n_samples))
    size = _block_size(n_epochs)
    epochs = loss.T
    # every sample is computed alone, so that how many cores there are changes no digit
    parts = list(cut(n_samples, max(size, -(-n_samples // (os.cpu_count() or 1)))))
    with ThreadPoolExecutor(len(parts) or 1) as pool:
        list(pool.map(lambda part: _fill(epochs, values, part, size, early), parts))
    return values


def _part(
    loss: NDArray[np.float32],
    early: int | None,
    values: NDArray[np.float64],
    drops: NDArray[np.uint8] | None = None,
) -> NDArray[np.float64]:
    """Compute features of not too many samples on the calling thread."""
    n_samples, n_epochs = loss.shape
    _fill(loss.T, values, slice(0, n_samples), _block_size(n_epochs), early, drops)
    return values


def _block_size(n_epochs: int) -> int:
    width = 24 * max(n_epochs, 1)
    return max(256, _CACHE_BYTES // width, min(_CALL_SAMPLES, _MOST_BYTES // width))


def _observed_twice(epochs: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which samples of losses of shape (n_epochs, n_samples) have two of them."""
    n_epochs, n_samples = epochs.shape
    found = np.full(n_samples, n_epochs > 1)

    def one(block: slice) -> None:
        losses = epochs[:, block]
        with np.errstate(over="ignore", invalid="ignore"):  # the sum itself is of no interest
            gaps = n_epochs > 1 and np.isnan(losses.sum())  # else there is none to look for
        if gaps:
            found[block] = n_epochs - np.isnan(losses).sum(axis=0) > 1

    map_blocks(one, n_samples)
    return found


def _fill(
    epochs: NDArray[np.float32],
    values: NDArray[np.float64],
    samples: slice,
    size: int,
    early: int | None,
    drops: NDArray[np.uint8] | None = None,
) -> None:
    for block in cut(samples.stop, size, samples.start):
        out = values[:, block]
        losses = scratch("losses", (len(epochs), out.shape[1]))
        losses[:] = epochs[:, block]
        known = None if drops is None else drops[block]
        _complete(losses, out, min(early or usual_early(len(losses)), len(losses)), known)
        gaps = np.flatnonzero(np.isnan(out[0]))
        if len(gaps):
            out[:, gaps] = _gapped(epochs[:, block][:, gaps].astype(np.float64), early)


def _complete(
    losses: NDArray[np.float64],
    out: NDArray[np.float64],
    early: int,
    drops: NDArray[np.uint8] | None = None,
) -> None:
    """Compute the features of samples without gaps; F1 is NaN where there is one.

    The losses are used up. Positions of drops are kept in ``drops``, 0 where they are not known
    yet.
    """
    n_epochs, n_samples = losses.shape
    if n_epochs < 2:
        out[:] = np.nan
        return
    position = drops if drops is not None and drops.all() else _drop_positions(losses)
    if drops is not None:
        drops[:] = position
    # before[q] is the sum of the first q losses, after[q] that of the others. Sums after a drop as
    # differences of sums before it would lose the digits of small losses.
    before, after = scratch("before", (n_epochs + 1, n_samples)), losses
    before[1] = losses[0]
    for q in range(1, n_epochs):
        np.add(before[q], losses[q], out=before[q + 1])
    for q in range(n_epochs - 1, 0, -1):
        np.add(after[q], losses[q - 1], out=after[q - 1])
    place = scratch("place", (n_samples,), np.intp)
    np.multiply(position, n_samples, out=place, dtype=np.intp)
    place += np.arange(n_samples)
    f1, f2, f3, f4, f5, f6 = out
    np.divide(before[-1], n_epochs, out=f1)
    np.divide(before[early], early, out=f2)
    np.copyto(f3, position)
    np.take(before, place, out=f4, mode="clip")  # "raise" would copy once more
    np.divide(f4, f3, out=f4)
    np.take(after, place, out=f5, mode="clip")
    np.subtract(n_epochs, f3, out=f6)
    np.divide(f5, f6, out=f5)
    np.subtract(f4, f5, out=f6)


def _drop_positions(losses: NDArray[np.float64]) -> NDArray[Any]:
    """Return Q, from 1 on: after which loss the largest drop comes, the first of equals."""
    n_epochs, n_samples = losses.shape
    kind = np.uint8 if n_epochs < 256 else np.int64  # narrow integers: many at a time in a register
    position, later = scratch("positions", (2, n_samples), kind)
    best, drop = scratch("drops", (2, n_samples))
    better = scratch("better", (n_samples,), bool)
    position[:] = 1
    np.subtract(losses[0], losses[1], out=best)
    for q in range(1, n_epochs - 1):
        np.subtract(losses[q], losses[q + 1], out=drop)
        np.greater(drop, best, out=better)
        np.maximum(best, drop, out=best)
        # q only grows, so the latest strict improvement is the maximum over improvements
        np.multiply(better.view(np.uint8), kind(q + 1), out=later)
        np.maximum(position, later, out=position)
    return position


def _gapped(losses: NDArray[np.float64], early: int | None) -> NDArray[np.float64]:
    """Compute the features of samples with gaps, those with equally many losses together."""
    out = np.full((len(FEATURES), losses.shape[1]), np.nan)
    missing = np.isnan(losses)
    observed = len(losses) - missing.sum(axis=0)
    order = np.argsort(missing, axis=0, kind="stable")
    packed = np.take_along_axis(losses, order, axis=0)
    for count in np.unique(observed[observed >= 2]):
        which = np.flatnonzero(observed == count)
        part = np.empty((len(FEATURES), len(which)))
        wanted = early or usual_early(int(count))
        _complete(np.ascontiguousarray(packed[:count, which]), part, min(wanted, int(count)))
        out[:, which] = part
    return out
