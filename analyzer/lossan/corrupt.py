"""Plant wrong labels, so that finding them can be measured."""

import numpy as np
import pyarrow as pa

from lossan.errors import OptionError
from lossan.losslog import encode


def corrupt_labels(labels: pa.Array, *, rate: float = 0.06, seed: int = 0) -> pa.Array:
    """Flip a share of the labels in each class to another class.

    With two classes a label becomes the opposite one, as in the paper (section 3, data set A');
    with more, any other class with equal chance.

    Parameters
    ----------
    labels : pyarrow.Array
        Shape (n_samples,), two classes or more.
    rate : float
        The share of each class to flip, from 0 to 1; the number is rounded.
    seed : int
        Which samples are flipped, and to what, follows from it.

    Returns
    -------
    pyarrow.Array
        The labels with the flipped ones in place.

    Raises
    ------
    OptionError
        For a rate outside [0, 1], a seed below 0 or fewer than two classes.

    Examples
    --------
    >>> corrupt_labels(pa.array([0, 0, 1, 1]), rate=0.5).to_pylist()
    [0, 1, 1, 0]
    """
    if not 0 <= rate <= 1:
        raise OptionError(f"rate is {rate}; allowed: 0 to 1, the share of labels to flip.")
    if seed < 0:
        raise OptionError(f"seed is {seed}; allowed: 0 and above.")
    coded = encode(labels)
    n_classes = len(coded.values)
    if n_classes < 2:
        raise OptionError(
            f"there {'is one class' if n_classes else 'are no labels'}; flipping a label needs "
            "at least two classes."
        )
    rng = np.random.default_rng(seed)
    codes = coded.codes.copy()
    for code in range(n_classes):
        members = np.flatnonzero(coded.codes == code)
        count = int(np.floor(rate * len(members) + 0.5))
        flipped = rng.choice(members, count, replace=False)
        others = rng.integers(0, n_classes - 1, count)
        codes[flipped] = others + (others >= code)
    return coded.values.take(pa.array(codes, mask=codes < 0))
