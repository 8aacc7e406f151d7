"""The steps of an experiment that write files; each is done once, however often it is called."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lossan.corrupt import corrupt_labels
from lossan.errors import LogError, LossanError, OptionError, TableError
from lossan.experiment._options import ExperimentOptions
from lossan.experiment._split import split_groups
from lossan.experiment._store import Store, classes_of, read_columns, write_samples
from lossan.io import read_log
from lossan.losslog import FLOAT_CHANNELS, Coded, LossLog
from lossan.training import SampleSet, find_adapter, make_plan, read_history, read_samples

_CHECKPOINTS = ("pt", "npz")


def say(text: str) -> None:
    """Tell on standard error which step begins."""
    print(text, file=sys.stderr, flush=True)


def prepare(options: ExperimentOptions, store: Store) -> SampleSet:
    """Write the gold standard A and the test set B, and return all samples."""
    training = options.training
    samples, _ = read_samples(
        options.labels, training.images, skip_unreadable=training.skip_unreadable
    )
    truth = _gold_standard(options, samples)
    digest = hashlib.sha256(repr((samples.ids, samples.paths, truth)).encode()).hexdigest()
    codes = np.unique(np.array(list(map(str, truth))), return_inverse=True)[1]
    # before the folder is taken: a table that cannot be split may be mended and given again
    test = split_groups(codes, samples.groups, share=options.test_share, seed=0)
    store.open(options, digest)
    for name, rows in (("a.csv", np.flatnonzero(~test)), ("b.csv", np.flatnonzero(test))):
        write_samples(store.root / name, samples, rows, [truth[row] for row in rows], None)
    return samples


def noisy_labels(
    options: ExperimentOptions, store: Store, samples: SampleSet, rate: float, seed: int
) -> Path:
    """Write A': A with wrong labels, planted or as they were given."""
    path = _place(store, options, rate, seed) / "noisy.csv"
    if path.exists():
        return path
    ids, truth = read_columns(store.root / "a.csv", "sample_id", "label")
    row_of = {str(name): row for row, name in enumerate(samples.ids)}
    rows = [row_of[str(name)] for name in ids]
    if options.noise == "given":
        labels = [samples.classes[samples.labels[row]] for row in rows]
    else:
        labels = corrupt_labels(pa.array(truth), rate=rate, seed=seed).to_pylist()
    write_samples(path, samples, rows, labels, truth)
    return path


def search_log(
    options: ExperimentOptions, store: Store, noisy: Path, rate: float, seed: int
) -> LossLog:
    """Train on A' and return its loss log."""
    place = _place(store, options, rate, seed)
    log = place / "search.parquet"
    epochs = options.search_epochs if rate == options.rate else options.training.epochs
    classes = classes_of(store.root / "a.csv", store.root / "b.csv", noisy)
    run_training(options, store, noisy, log, classes, epochs=epochs, seed=seed, test=False)
    try:
        return read_log(log)
    except LogError as error:
        if all(fault.code != "all_nan" for fault in error.faults):
            raise
        raise LossanError(
            f"the training on {noisy} diverged: none of the losses in {log} is a number, so there "
            f"is nothing to find wrong labels by. --lr was {options.training.lr:g}; give a smaller "
            f"one, and another -o or remove {store.root} first, whose options cannot change."
        ) from error


def retrain(
    options: ExperimentOptions,
    store: Store,
    labels: Path,
    name: str,
    seed: int,
    classes: list[Any],
) -> list[dict[str, Any]]:
    """Train on a label set with B tested after each epoch, and return its history."""
    log = store.folder(f"seed-{seed}") / f"retrain-{name}.parquet"
    epochs = options.retrain_epochs
    if log.exists():
        _check_classes(store, log, classes)
    run_training(options, store, labels, log, classes, epochs=epochs, seed=seed, test=True)
    return read_history(log)


def _check_classes(store: Store, log: Path, classes: list[Any]) -> None:
    """Refuse a training from before people decided for a class that no table had."""
    stated = read_log(log).metadata.get("classes")
    if stated is not None and stated != classes:
        was, now = (", ".join(map(str, names)) for names in (stated, classes))
        raise OptionError(
            f"{log} was trained on the classes {was}, but the labels are now of {now}; networks of "
            "different classes cannot be compared. Remove every retrain-*.parquet* in "
            f"{store.root} to train them all anew."
        )


def run_training(
    options: ExperimentOptions,
    store: Store,
    labels: Path,
    log: Path,
    classes: list[Any],
    *,
    epochs: int,
    seed: int,
    test: bool,
) -> None:
    """Train, unless that was done; a training that was interrupted goes on.

    All networks have the classes of all tables: one may lack a class that B or another has.
    """
    if log.exists():
        return
    say(f"training on {labels.relative_to(store.root)} to {log.relative_to(store.root)}")
    chosen = options.training.model_copy(
        update={
            "labels": labels,
            "output": log,
            "images": image_root(options),
            "epochs": epochs,
            "seed": seed,
            "test": store.root / "b.csv" if test else None,
            "resume": True,
        }
    )
    find_adapter(options.adapter).train(make_plan(chosen, classes=classes))
    if not log.exists():
        raise LossanError(f"the adapter {options.adapter} ended without writing {log}.")
    for suffix in _CHECKPOINTS:
        log.with_name(f"{log.name}.checkpoint.{suffix}").unlink(missing_ok=True)


def image_root(options: ExperimentOptions) -> Path:
    """Return the folder that paths of images are relative to."""
    labels = options.labels
    return options.training.images or (labels if labels.is_dir() else labels.parent)


def first_epochs(log: LossLog, count: int) -> LossLog:
    """Return the log as it stood after so many epochs.

    The learning rate is constant, so that a longer training begins as a shorter one does.
    """
    if count >= log.n_epochs:
        return log
    cut: dict[str, Any] = {
        field: values.T[:count].T
        for field in ("loss", *FLOAT_CHANNELS)
        if (values := getattr(log, field)) is not None
    }
    if log.predicted is not None:
        cut["predicted"] = Coded(log.predicted.codes.T[:count].T, log.predicted.values)
    return replace(log, epochs=log.epochs[:count], **cut)


def _gold_standard(options: ExperimentOptions, samples: SampleSet) -> list[Any]:
    given = samples.given()
    if samples.true_labels is None:
        if options.noise == "given":
            raise TableError(
                f"{options.labels} has no true_label; --noise given takes the wrong labels from "
                "label and the truth from true_label. Add it, or plant wrong labels by --noise "
                "planted."
            )
        return given
    missing = sum(value in (None, "") for value in samples.true_labels)
    if missing:
        raise TableError(f"{options.labels}: true_label is empty in {missing} rows.")
    return samples.true_labels


def _place(store: Store, options: ExperimentOptions, rate: float, seed: int) -> Path:
    if rate == options.rate:
        return store.folder(f"seed-{seed}")
    return store.folder(f"rate-{rate:g}", f"seed-{seed}")
