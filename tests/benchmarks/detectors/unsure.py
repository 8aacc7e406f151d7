"""Trainings that keep a network unsure, and what `auto` flags of them.

``python unsure.py --cache DIR [--only WORDS ...] [--jobs 2]``

Dropout, shifted and mirrored images, focal loss, smoothed labels, mixup, few epochs, slow
learning and classes that look alike leave right labels contradicted, as wrong ones are; a head on
a frozen network's features learns wrong ones by heart within a few epochs. Made of Fashion-MNIST
and, for a hundred classes, of pairs of MNIST digits side by side; a log of the training pass and
one of a pass after each epoch each, but of mixup, whose training pass sees no image as it is.
"""

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from images import FASHION, load
from numpy.typing import NDArray
from tasks import CONFUSED
from torch import Tensor, nn

import lossan
from lossan_torch import TorchRecorder

Labels = NDArray[np.int64]
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a network is trained: by Adam, or by SGD with momentum, at a constant rate or not."""

    dropout: float = 0.25
    decay: float = 0.0
    smoothing: float = 0.0
    focal: bool = False
    mixup: bool = False
    augment: bool = False
    norm: bool = False
    sgd: bool = False
    cosine: bool = False
    restart: int = 0
    linear: bool = False
    epochs: int = 8
    rate: float = 1e-3


CHOSEN = {
    "plain": Way(),
    "smooth": Way(smoothing=0.1),
    "mixup": Way(mixup=True),
    "focal": Way(focal=True),
    "aug": Way(augment=True, epochs=12),
    "sgdcos": Way(sgd=True, decay=5e-4, cosine=True, epochs=15),
    "restart": Way(restart=4, epochs=12, rate=2e-3),
    "drop": Way(dropout=0.6, decay=0.05),
    "bn": Way(norm=True),
    "short3": Way(epochs=3),
    "long30": Way(epochs=30, cosine=True, norm=True),
}
"""The rules of `auto` were chosen on these, and on the logs of `tasks.py`."""
HELD = {
    "plain": Way(),
    "drop7": Way(dropout=0.7),
    "aug8": Way(augment=True),
    "augdrop": Way(augment=True, dropout=0.5, epochs=10),
    "focal10": Way(focal=True, epochs=10),
    "smooth2": Way(smoothing=0.2),
    "short2": Way(epochs=2),
    "short4": Way(epochs=4, norm=True),
    "sgd8": Way(sgd=True, decay=5e-4, cosine=True),
    "slow": Way(rate=3e-4, epochs=10),
    "bn20": Way(norm=True, epochs=20, cosine=True),
}
"""Made after the first version of the rules; three constants followed from them."""
HEADS = {
    "two-layers": Way(dropout=0.0, rate=5e-4),
    "one-layer": Way(dropout=0.0, linear=True),
    "slow": Way(dropout=0.0, rate=1e-4),
    "drop": Way(dropout=0.5, rate=5e-4),
}
"""Not seen while rules were chosen, though others of their kind were."""
FEW = {
    "plain": Way(),
    "drop": Way(dropout=0.5, epochs=10),
    "long": Way(dropout=0.0, epochs=20),
    "fast": Way(rate=3e-3),
}
"""Not seen while rules were chosen, though others of their kind were."""
ALIKE = {
    "fashion": FASHION,
    "coats": ("pullover", "coat"),
    "shirts": ("t-shirt", "shirt"),
    "tops": ("pullover", "coat", "shirt"),
    "shoes": ("sneaker", "ankle-boot"),
    "jackets": ("coat", "shirt"),
}


@dataclass(frozen=True)
class Job:
    """A training: which images, which labels are wrong, how."""

    name: str
    source: str
    n: int
    noise: str
    rate: float
    way: Way
    seed: int


def jobs() -> Iterator[Job]:
    """Yield all trainings."""
    for way, how in CHOSEN.items():
        for noise, rate in (("clean", 0.0), ("uniform", 0.1), ("confused", 0.2)):
            yield Job(f"chosen-ten-{way}-{noise}", "fashion", 6000, noise, rate, how, 1)
        for noise, rate in (("clean", 0.0), ("uniform", 0.1)):
            yield Job(f"chosen-two-{way}-{noise}", "coats", 4000, noise, rate, how, 2)
    for noise, rate in (("clean", 0.0), ("uniform", 0.06), ("uniform", 0.4), ("next", 0.2)):
        name = f"chosen-hundred-{noise}{rate * 100:.0f}"
        yield Job(name, "pairs", 15_000, noise, rate, Way(norm=True, epochs=12), 3)
    for noise, rate in (("clean", 0.0), ("uniform", 0.1), ("next", 0.2)):
        name = f"chosen-shrinking-{noise}"
        yield Job(name, "shrinking", 8000, noise, rate, Way(norm=True, epochs=15), 4)
    for k, (way, how) in enumerate(HELD.items()):
        for noise, rate in (("clean", 0.0), ("uniform", 0.06), ("confused", 0.2)):
            yield Job(f"held-ten-{way}-{noise}", "fashion", 4000, noise, rate, how, 100 + k)
        for noise, rate in (("clean", 0.0), ("uniform", 0.06)):
            source = "shirts" if k % 2 else "coats"
            yield Job(f"held-two-{way}-{noise}", source, 3000, noise, rate, how, 200 + k)
        for noise, rate in (("clean", 0.0), ("uniform", 0.15)):
            yield Job(f"held-three-{way}-{noise}", "tops", 3000, noise, rate, how, 300 + k)
    yield from heads()
    yield from few()


def heads() -> Iterator[Job]:
    """Yield those of heads on a frozen network's features."""
    for k, (way, how) in enumerate(HEADS.items()):
        for noise, rate in (("clean", 0.0), ("uniform", 0.06), ("uniform", 0.2), ("confused", 0.2)):
            name = f"head-ten-{way}-{noise}{rate * 100:.0f}"
            yield Job(name, "fashion features", 8000, noise, rate, how, 400 + k)
        for source in ("coats", "shirts", "tops"):
            for noise, rate in (("clean", 0.0), ("uniform", 0.06), ("uniform", 0.2)):
                name = f"head-{source}-{way}-{noise}{rate * 100:.0f}"
                yield Job(name, f"{source} features", 2500, noise, rate, how, 500 + k)


def few() -> Iterator[Job]:
    """Yield those of few samples of two classes, from scratch."""
    for k, (way, how) in enumerate(FEW.items()):
        for n in (300, 600, 900):
            for source in ("coats", "shirts", "shoes", "jackets"):
                for noise, rate in (("clean", 0.0), ("uniform", 0.06), ("uniform", 0.2)):
                    name = f"few-{source}-{n}-{way}-{noise}{rate * 100:.0f}"
                    yield Job(name, source, n, noise, rate, how, 600 + k)


def images_of(job: Job, cache: Path) -> tuple[NDArray[np.float32], Labels, int]:
    """Return images, their classes, and how many there are."""
    rng = np.random.default_rng(job.seed)
    source, _, features = job.source.partition(" ")
    if source in ALIKE:
        images = load(f"fashion-{features}" if features else "fashion", cache)
        kept = [images.classes.index(name) for name in ALIKE[source]]
        rows = rng.permutation(len(images.truth))
        rows = rows[np.isin(images.truth[rows], kept)][: job.n]
        return images.inputs[rows], np.searchsorted(kept, images.truth[rows]), len(kept)
    images = load("mnist", cache)
    n = 4 * job.n if job.source == "shrinking" else job.n
    both = rng.integers(0, len(images.truth), (n, 2))
    small = images.inputs.reshape(-1, 1, 14, 2, 14, 2).mean((3, 5))
    inputs = np.concatenate([small[both[:, k]] for k in range(2)], axis=3).astype(np.float32)
    truth = images.truth[both] @ np.array([10, 1])
    if job.source == "shrinking":
        counts = np.geomspace(job.n // 25, 5, 100).astype(int)
        some = [np.flatnonzero(truth == c)[: counts[c]] for c in range(100)]
        rows = np.random.default_rng(job.seed).permutation(np.concatenate(some))
        inputs, truth = inputs[rows], truth[rows]
    return inputs, truth, 100


def given_labels(job: Job, truth: Labels, n_classes: int) -> Labels:
    """Return labels of which some are wrong."""
    rng, given = np.random.default_rng(job.seed + 77), truth.copy()
    if job.noise == "uniform":
        moved = rng.choice(len(truth), round(job.rate * len(truth)), replace=False)
        given[moved] = (truth[moved] + rng.integers(1, n_classes, len(moved))) % n_classes
        return given
    pairs = []
    if job.noise == "next":
        pairs = [(c, (c + 1) % n_classes, job.rate) for c in range(n_classes)]
    elif job.noise == "confused":
        pairs = [(FASHION.index(a), FASHION.index(b), share) for a, b, share in CONFUSED]
    for origin, target, share in pairs:
        members = np.flatnonzero(truth == origin)
        given[rng.choice(members, round(share * len(members)), replace=False)] = target
    return given


def network(shape: tuple[int, ...], n_classes: int, way: Way) -> nn.Module:
    """Build a small convolutional network, or a head of one or two layers."""
    if way.linear:
        return nn.Linear(shape[0], n_classes)
    if len(shape) == 1:
        hidden = [nn.Linear(shape[0], 128), nn.ReLU(), nn.Dropout(way.dropout)]
        return nn.Sequential(*hidden, nn.Linear(128, n_classes))
    layers: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32)):
        layers.append(nn.Conv2d(before, after, 3, padding=1))
        layers += [nn.BatchNorm2d(after)] * way.norm + [nn.ReLU(), nn.MaxPool2d(2)]
    width, flat = (128 if n_classes > 10 else 64), 32 * (shape[1] // 4) * (shape[2] // 4)
    head = [nn.Flatten(), nn.Linear(flat, width), nn.ReLU(), nn.Dropout(way.dropout)]
    return nn.Sequential(*layers, *head, nn.Linear(width, n_classes))


def shifted(inputs: Tensor, rng: np.random.Generator) -> Tensor:
    """Return images shifted by up to three pixels, half of them mirrored."""
    down, right = (int(s) for s in rng.integers(-3, 4, 2))
    inputs = torch.roll(inputs, (down, right), (2, 3))
    mirrored = torch.from_numpy(rng.random(len(inputs)) < 0.5)
    inputs[mirrored] = inputs[mirrored].flip(3)
    return inputs


def cost(
    model: nn.Module, inputs: Tensor, given: Tensor, way: Way, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return logits of a batch, and what is minimised."""
    entropy = partial(nn.functional.cross_entropy, label_smoothing=way.smoothing)
    if way.mixup:
        part, other = float(rng.beta(0.4, 0.4)), torch.from_numpy(rng.permutation(len(given)))
        logits = model(part * inputs + (1 - part) * inputs[other])
        return logits, part * entropy(logits, given) + (1 - part) * entropy(logits, given[other])
    logits = model(inputs)
    if way.focal:
        log_prob = torch.log_softmax(logits, 1).gather(1, given[:, None])[:, 0]
        return logits, (-((1 - log_prob.exp()) ** 2) * log_prob).mean()
    return logits, entropy(logits, given)


def make(job: Job, cache: Path) -> list[Path]:
    """Train and record, unless that was done; return the logs."""
    folder = cache / "unsure"
    logs = {mode: folder / f"{job.name}.{mode}.parquet" for mode in ("train", "eval")}
    if not all(path.exists() for path in logs.values()):
        folder.mkdir(parents=True, exist_ok=True)
        train(job, cache, logs)
    return [path for mode, path in logs.items() if not (mode == "train" and job.way.mixup)]


def train(job: Job, cache: Path, logs: dict[str, Path]) -> None:
    """Train a network, and record what it says of each image in both ways."""
    torch.set_num_threads(1)
    pixels, truth, n_classes = images_of(job, cache)
    labels, way = given_labels(job, truth, n_classes), job.way
    torch.manual_seed(job.seed)
    rng = np.random.default_rng(job.seed)
    inputs, given = torch.from_numpy(pixels), torch.from_numpy(labels)
    model = network(pixels.shape[1:], n_classes, way)
    steps = len(labels) // BATCH
    optimiser: torch.optim.Optimizer = torch.optim.AdamW(
        model.parameters(), lr=way.rate, weight_decay=way.decay
    )
    if way.sgd:
        optimiser = torch.optim.SGD(
            model.parameters(), lr=0.05, momentum=0.9, weight_decay=way.decay
        )
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None
    if way.cosine:
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, way.epochs * steps)
    if way.restart:
        schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
            optimiser, way.restart * steps
        )
    names = [f"c{code:04d}" for code in range(n_classes)]
    common = {
        "classes": names,
        "labels": {i: names[code] for i, code in enumerate(labels)},
        "true_labels": {i: names[code] for i, code in enumerate(truth)},
        "overwrite": True,
    }
    with (
        TorchRecorder(logs["train"], recorded="train", **common) as in_pass,
        TorchRecorder(logs["eval"], recorded="eval", **common) as after,
    ):
        for _ in range(way.epochs):
            model.train()
            for rows in np.array_split(rng.permutation(len(labels)), steps):
                batch = shifted(inputs[rows], rng) if way.augment else inputs[rows]
                logits, loss = cost(model, batch, given[rows], way, rng)
                in_pass.record(rows, logits=logits.detach(), targets=given[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if schedule is not None:
                    schedule.step()
            model.eval()
            with torch.inference_mode():
                logits = torch.cat([model(part) for part in inputs.split(1000)]).clone()
            after.record(np.arange(len(labels)), logits=logits, targets=given)
            in_pass.end_epoch()
            after.end_epoch()


def judged(job: Job, cache: Path) -> list[tuple[str, str, float, float, float]]:
    """Return of each log and form its name, the form, the wrong and flagged shares, and F1."""
    rows = []
    for path in make(job, cache):
        log = lossan.read_log(path)
        assert log.label is not None
        assert log.true_label is not None
        wrong = log.label.to_numpy(False) != log.true_label.to_numpy(False)
        bare = replace(log, label_prob=None, margin=None, predicted=None, predicted_prob=None)
        for form, what in (("all fields", log), ("losses and labels", bare)):
            flagged = lossan.analyze(what, detector="auto").detection.flagged
            f1 = 2 * (flagged & wrong).sum() / max(flagged.sum() + wrong.sum(), 1)
            rows.append((path.stem, form, float(wrong.mean()), float(flagged.mean()), float(f1)))
    return rows


def main() -> None:
    """Make what is missing, analyse all, and print a line for each log and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=[""], help="words in the names of trainings")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    wanted = [job for job in jobs() if any(word in job.name for word in options.only)]
    for source in ("fashion", "fashion-features", "mnist"):
        load(source, options.cache)  # fetched once, not by each process
    with get_context("spawn").Pool(options.jobs) as pool:
        found = pool.imap(partial(judged, cache=options.cache), wanted)
        rows = [row for rows in found for row in rows]
    for name, form, wrong, flagged, f1 in rows:
        print(f"{name:36s} {form:18s} wrong {wrong:5.1%} flagged {flagged:5.1%} F1 {f1:.3f}")
    for kind in sorted({(row[0].partition("-")[0], row[1]) for row in rows}):
        those = [row[2:] for row in rows if (row[0].partition("-")[0], row[1]) == kind]
        clean = [flagged for wrong, flagged, _ in those if wrong == 0]
        noisy = [(flagged, f1) for wrong, flagged, f1 in those if wrong > 0]
        print(
            f"{', '.join(kind)}: of {len(clean)} clean logs {sum(f > 0.005 for f in clean)} have "
            f"more than 0.5% flagged, on average {np.mean(clean or [0]):.2%}; of {len(noisy)} "
            f"others {sum(f == 0 for f, _ in noisy)} have none, mean F1 "
            f"{np.mean([f1 for _, f1 in noisy] or [0]):.3f}"
        )


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
