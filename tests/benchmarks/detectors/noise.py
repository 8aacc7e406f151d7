"""Wrong labels: how a task's given labels are made from the true ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from images import Images, load
from numpy.typing import NDArray
from tasks import SLIPS, Task
from training import predict, train

from lossan.corrupt import corrupt_labels

TEACHING = 600
"""Images the annotator learnt from."""


def prepare(
    task: Task, cache: Path, fundus: Path | None = None
) -> tuple[Images, NDArray[np.int64]]:
    """Return a task's images, in an order that says nothing, and their given labels."""
    images = load(task.source, cache, fundus)
    rng = np.random.default_rng(task.seed)
    order = rng.permutation(len(images.truth))
    if task.only:
        wanted = [images.classes.index(name) for name in task.only]
        order = order[np.isin(images.truth[order], wanted)]
        codes = np.full(len(images.classes), -1)
        codes[wanted] = range(len(wanted))
        images = replace(images, truth=codes[images.truth], classes=task.only)
    rows = _shrinking(images, order, task) if task.fewest else order[: task.n]
    taken = images.take(rows)
    taught = {"annotator": _annotated, "people": _guessed, "hurried": _hurried}
    if task.noise in taught:
        others = np.setdiff1d(order, rows, assume_unique=True)[:TEACHING]
        return taken, taught[task.noise](task, taken, images.take(others))
    label = _by_crowd if task.noise == "crowd" else made_wrong
    return taken, label(task, taken)


def _shrinking(images: Images, order: NDArray[np.int64], task: Task) -> NDArray[np.int64]:
    """Return rows of which each class has fewer than the one before."""
    assert task.n is not None
    assert task.fewest is not None
    counts = np.geomspace(task.n, task.fewest, len(images.classes)).round().astype(int)
    chosen = np.zeros(len(order), bool)
    for code, count in enumerate(counts):
        chosen[np.flatnonzero(images.truth[order] == code)[:count]] = True
    return order[chosen]


def made_wrong(task: Task, images: Images) -> NDArray[np.int64]:
    """Return labels that are wrong whatever the image looks like."""
    truth = images.truth
    if task.noise == "none":
        return truth.copy()
    if task.noise == "uniform":
        flipped = corrupt_labels(pa.array(truth), rate=task.rate, seed=task.seed)
        return np.array(flipped, np.int64)
    given, rng = truth.copy(), np.random.default_rng(task.seed + 1)
    for origin, target, share in task.pairs:
        members = np.flatnonzero(truth == images.classes.index(origin))
        moved = rng.choice(members, round(share * len(members)), replace=False)
        given[moved] = images.classes.index(target)
    return given


def _guessed(task: Task, images: Images, teaching: Images) -> NDArray[np.int64]:
    """Return labels as people give them: the less clear an image, the more often another class.

    Each is drawn from what a network makes of the image at a quarter of its resolution, helped
    towards the truth by as many logits as leave the wanted share wrong. Two people would differ.
    """
    if images.inputs.ndim == 4:  # features have no resolution
        images, teaching = _blurred(images), _blurred(teaching)
    logits = _weakly(task, images, teaching).astype(np.float64)
    logits += np.random.default_rng(task.seed + 2).gumbel(size=logits.shape)
    rows = np.arange(len(logits))
    best_other = logits.copy()
    best_other[rows, images.truth] = -np.inf
    lead = best_other.max(axis=1) - logits[rows, images.truth]
    logits[rows, images.truth] += np.quantile(lead, 1 - task.rate)
    return logits.argmax(axis=1)


def _hurried(task: Task, images: Images, teaching: Images) -> NDArray[np.int64]:
    """Return labels of which half of the wrong ones are guesses, the others slips at any image."""
    given = _guessed(replace(task, rate=task.rate / 2), images, teaching)
    often = _slips(images)
    rng, right = np.random.default_rng(task.seed + 3), given == images.truth
    chance = np.where(right, often.sum(axis=1)[images.truth], 0.0)
    count = round(task.rate * len(given)) - int((~right).sum())
    return _slipped(given, images.truth, chance, often, count, rng)


def _by_crowd(task: Task, images: Images) -> NDArray[np.int64]:
    """Return labels of many careless people, wrong at any image.

    Of each class another share is wrong; half of that is taken for classes that look alike, half
    for any others, of each class unevenly.
    """
    rng, n_classes = np.random.default_rng(task.seed + 1), len(images.classes)
    alike, others = _slips(images), rng.dirichlet(np.full(n_classes, 0.5), n_classes)
    np.fill_diagonal(others, 0.0)
    often = sum(part / np.maximum(part.sum(axis=1), 1e-9)[:, None] for part in (alike, others))
    chance = rng.uniform(0.5, 1.5, n_classes)[images.truth]
    count = round(task.rate * len(images.truth))
    return _slipped(images.truth, images.truth, chance, often, count, rng)


def _slipped(
    given: NDArray[np.int64],
    truth: NDArray[np.int64],
    chance: NDArray[np.float64],
    often: NDArray[np.float64],
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return labels of which some more are wrong, drawn by their chance and by how often."""
    slipped = given.copy()
    for row in rng.choice(len(truth), count, replace=False, p=chance / chance.sum()):
        to = often[truth[row]]
        slipped[row] = rng.choice(len(to), p=to / to.sum())
    return slipped


def _slips(images: Images) -> NDArray[np.float64]:
    """Return how often a class is taken for another, in proportion, shape (n_classes,) * 2."""
    often = np.zeros((len(images.classes),) * 2)
    for origin, target, weight in SLIPS:
        often[images.classes.index(origin), images.classes.index(target)] = weight
    return often


def _blurred(images: Images) -> Images:
    """Return the images in squares of four by four pixels."""
    n, channels, height, width = images.inputs.shape
    parts = images.inputs.reshape(n, channels, height // 4, 4, width // 4, 4)
    return replace(images, inputs=parts.mean(axis=(3, 5)).repeat(4, axis=2).repeat(4, axis=3))


def _annotated(task: Task, images: Images, teaching: Images) -> NDArray[np.int64]:
    """Return labels in which some mistakes of a weak annotator stand uncorrected."""
    says = _weakly(task, images, teaching).argmax(axis=1)
    mistaken = np.flatnonzero(says != images.truth)
    count = round(task.rate * len(says))
    if len(mistaken) < count:
        raise SystemExit(f"{task.name}: the annotator errs {len(mistaken)} times, not {count}")
    kept = np.random.default_rng(task.seed + 2).choice(mistaken, count, replace=False)
    given = images.truth.copy()
    given[kept] = says[kept]
    return given


def _weakly(task: Task, images: Images, teaching: Images) -> NDArray[np.float32]:
    """Return the logits of a network that learnt from a few other images."""
    weak = replace(task, epochs=20, batch=32)
    n_classes = len(images.classes)
    model = train(weak, teaching.inputs, teaching.truth, n_classes, seed=task.seed + 1)
    return predict(model, images.inputs).numpy()
