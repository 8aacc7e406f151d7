"""Which samples are set aside for testing: whole groups, never single images of one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossan.errors import TableError


def split_groups(
    labels: NDArray[np.int64], groups: Sequence[Any] | None, *, share: float, seed: int
) -> NDArray[np.bool_]:
    """Choose test samples so that each class gives near its share and no group is divided.

    Groups are visited in random order; one is taken when that brings the counts of the test set
    nearer to the wanted share of each class.

    Parameters
    ----------
    labels : ndarray of int64
        Shape (n_samples,), class codes from 0 on.
    groups : sequence, optional
        Shape (n_samples,), such as patients; None where each sample is its own group. A missing
        group makes the sample its own.
    share : float
        In (0, 1).
    seed : int

    Returns
    -------
    ndarray of bool
        Shape (n_samples,): True for the test set.

    Raises
    ------
    TableError
        When either part would lack a class.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> test = split_groups(labels, list("aabbccdd"), share=0.5, seed=0)
    >>> np.bincount(labels[test]).tolist()
    [2, 2]
    """
    n_classes = int(labels.max()) + 1
    members: dict[Any, list[int]] = {}
    for row in range(len(labels)):
        own = None if groups is None else groups[row]
        members.setdefault(("", row) if own in (None, "") else own, []).append(row)
    wanted = share * np.bincount(labels, minlength=n_classes)
    taken = np.zeros(n_classes)
    test = np.zeros(len(labels), bool)
    order = list(members.values())
    for place in np.random.default_rng((seed, 4)).permutation(len(order)):
        rows = order[place]
        counts = np.bincount(labels[rows], minlength=n_classes)
        if ((taken + counts - wanted) ** 2).sum() < ((taken - wanted) ** 2).sum():
            taken += counts
            test[rows] = True
    for name, part in (("test", test), ("training", ~test)):
        lacking = np.flatnonzero(np.bincount(labels[part], minlength=n_classes) == 0)
        if len(lacking):
            raise TableError(
                f"a {name} set of whole groups at --test-share {share:g} would hold no sample of "
                f"{len(lacking)} of {n_classes} classes; the table has {len(labels)} samples in "
                f"{len(order)} groups. Use another share or a table with more groups."
            )
    return test
