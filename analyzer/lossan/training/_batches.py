"""Batches of images read by threads, for frameworks without a loader of their own."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossan.training._images import augment, load_image
from lossan.training._options import TrainOptions
from lossan.training._samples import SampleSet, batch_rows, sample_rng

_AHEAD = 2  # batches read while another is trained on


def image_batches(
    samples: SampleSet, order: Any, options: TrainOptions, epoch: int | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield rows, images and labels, batch by batch, the next ones being read meanwhile.

    Parameters
    ----------
    samples : SampleSet
    order : sequence of int
        The rows in the order to show them.
    options : TrainOptions
    epoch : int, optional
        The epoch whose augmentation is applied; none without.

    Yields
    ------
    tuple of ndarray
        Rows of shape (n,), images of shape (n, size, size, 3), label indices of shape (n,).
    """

    def read(row: int) -> NDArray[np.uint8]:
        image = load_image(samples.files[row], options.image_size)
        if epoch is None or options.augmentation == "none":
            return image
        return augment(image, sample_rng(row, seed=options.seed, epoch=epoch))

    workers = options.workers if options.workers > 0 else os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[tuple[list[int], Any]] = deque()
        for rows in batch_rows(order, options.batch_size):
            ahead.append((rows, [pool.submit(read, row) for row in rows]))
            if len(ahead) > _AHEAD:
                yield _collect(samples, *ahead.popleft())
        while ahead:
            yield _collect(samples, *ahead.popleft())


def _collect(
    samples: SampleSet, rows: list[int], images: list[Any]
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    taken = np.array(rows, np.int64)
    return taken, np.stack([image.result() for image in images]), samples.labels[taken]
