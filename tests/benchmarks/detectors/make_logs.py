"""Make the loss logs: ``python make_logs.py --cache DIR [--fundus DIR] [--only NAME ...]``.

Each training gives two logs of one run, ``NAME.parquet`` from the training pass and
``NAME.eval.parquet`` from a pass after each epoch, the last epoch's probabilities
(``NAME.npy``, in evaluation mode) and how it was made (``NAME.json``).
"""

import argparse
import json
import shutil
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from noise import prepare
from tasks import Task, chosen
from training import predict, probabilities, train

from lossan_torch import TorchRecorder


def log_path(task: Task, cache: Path, recorded: str = "train") -> Path:
    """Return where a task's log stands."""
    return cache / "logs" / f"{task.name}{'' if recorded == 'train' else '.eval'}.parquet"


def facts_path(task: Task, cache: Path) -> Path:
    """Return where it stands how a task's log was made; written last, so its presence says done."""
    return cache / "logs" / f"{task.name}.json"


def is_made(task: Task, cache: Path) -> bool:
    """Tell whether a task's logs are there and were made as the task says now."""
    path = facts_path(task, cache)
    if not path.exists():
        return False
    stated = json.loads(json.dumps(asdict(task)))  # as JSON has it: lists for tuples
    return stated.items() <= json.loads(path.read_text()).items()


def make(task: Task, cache: Path, fundus: Path | None = None) -> None:
    """Train and record one task; results of peers on an earlier form of it are removed."""
    began = time.perf_counter()
    facts_path(task, cache).unlink(missing_ok=True)
    shutil.rmtree(cache / "peers" / task.name, ignore_errors=True)
    images, given = prepare(task, cache, fundus)
    ids = np.arange(len(given))
    targets = torch.from_numpy(given)
    named = [images.classes[code] for code in images.truth]
    common = {
        "classes": images.classes,
        "labels": {i: images.classes[code] for i, code in enumerate(given)},
        "true_labels": dict(enumerate(named)),
        "groups": None if images.group is None else dict(enumerate(images.group)),
        # how many labels are wrong, and how, is truth: no detector may read it
        "metadata": {k: v for k, v in asdict(task).items() if k not in ("noise", "rate", "name")},
        "overwrite": True,
    }
    logits = torch.empty(0)
    log_path(task, cache).parent.mkdir(parents=True, exist_ok=True)
    with (
        TorchRecorder(log_path(task, cache), recorded="train", **common) as in_pass,
        TorchRecorder(log_path(task, cache, "eval"), recorded="eval", **common) as after,
    ):

        def on_batch(rows, batch_logits):
            in_pass.record(rows, logits=batch_logits, targets=targets[rows])

        def on_epoch(model):
            nonlocal logits
            logits = predict(model, images.inputs)
            after.record(ids, logits=logits, targets=targets)
            in_pass.end_epoch()
            after.end_epoch()

        train(
            task,
            images.inputs,
            given,
            len(images.classes),
            seed=task.seed,
            on_batch=on_batch,
            on_epoch=on_epoch,
        )
    np.save(facts_path(task, cache).with_suffix(".npy"), probabilities(logits).astype(np.float32))
    says = logits.argmax(dim=1).numpy()
    facts = {
        **asdict(task),
        "n_samples": len(given),
        "wrong_labels": int((given != images.truth).sum()),
        "accuracy_on_given": float((says == given).mean()),
        "accuracy_on_true": float((says == images.truth).mean()),
        "seconds": time.perf_counter() - began,
    }
    facts_path(task, cache).write_text(json.dumps(facts, indent=1) + "\n")
    print(
        f"{task.name}: {facts['n_samples']} samples, {facts['wrong_labels']} wrong labels, "
        f"accuracy {facts['accuracy_on_given']:.3f} on given and "
        f"{facts['accuracy_on_true']:.3f} on true labels, {facts['seconds']:.0f} s",
        flush=True,
    )


def main() -> None:
    """Make those that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--fundus", type=Path)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("error")
    for task in chosen(options.only, options.seeds):
        if is_made(task, options.cache):
            continue
        if task.source == "fundus" and options.fundus is None:
            print(f"{task.name}: left out, --fundus is not given")
            continue
        make(task, options.cache, options.fundus)


if __name__ == "__main__":
    main()
