"""Everything an adapter needs to train, checked before it starts."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lossan.errors import OptionError, TableError
from lossan.io import recording_folder
from lossan.training._options import TrainOptions
from lossan.training._samples import SampleSet, read_samples


@dataclass(frozen=True, eq=False)
class TrainPlan:
    """A training about to start.

    Parameters
    ----------
    options : TrainOptions
    train : SampleSet
    test : SampleSet, optional
    skipped : list of str
        Images that were left out because they cannot be read.
    """

    options: TrainOptions
    train: SampleSet
    test: SampleSet | None
    skipped: list[str]

    def identity(self) -> dict[str, Any]:
        """Return what a resumed training must share: options and samples, the epochs aside."""
        options = self.options
        return {
            **{k: v for k, v in options.provenance().items() if k != "epochs"},
            "record": options.record,
            "precision": options.precision,
            "labels_table": self.train.fingerprint,
            "test_table": self.test.fingerprint if self.test else None,
        }

    def check_identity(self, stored: Mapping[str, Any], checkpoint: Path) -> None:
        """Refuse a checkpoint of a training with other options or another labels table.

        Raises
        ------
        OptionError
            Naming what differs.
        """
        changed = sorted(k for k, v in self.identity().items() if stored.get(k) != v)
        if changed:
            raise OptionError(
                f"{checkpoint} is of another training; since then changed: {', '.join(changed)}. "
                "Resume with the same options and the same labels table, its rows in the same "
                "order, or name another log."
            )

    def recorder_options(self, *, keep_epochs: int, **stated: str) -> dict[str, Any]:
        """Return what the Recorder is made with, the same for every adapter.

        Parameters
        ----------
        keep_epochs : int
            How many epochs the checkpoint to go on from holds; what was recorded after it is
            recorded again.
        **stated
            What the adapter states in the log besides the options: the device and so on.
        """
        samples = self.train
        named = {"true_labels": samples.true_labels, "groups": samples.groups}
        resumed = {"resume": True, "keep_epochs": keep_epochs} if self.options.resume else {}
        return {
            **resumed,
            "recorded": self.options.record,
            "labels": dict(zip(samples.ids, samples.given(), strict=True)),
            "paths": dict(zip(samples.ids, samples.paths, strict=True)),
            "classes": samples.classes,
            "metadata": {**self.options.provenance(), **stated},
            **{
                name: dict(zip(samples.ids, values, strict=True))
                for name, values in named.items()
                if values is not None
            },
        }


def make_plan(options: TrainOptions, *, classes: Sequence[Any] | None = None) -> TrainPlan:
    """Read and check the samples, and that the log may be written.

    Parameters
    ----------
    options : TrainOptions
    classes : sequence, optional
        What the network shall tell apart, in index order, where other trainings have labels that
        this one lacks; those of its labels table if not given.

    Raises
    ------
    TableError, OptionError
        With every fault found.
    """
    there = [p for p in (options.output, recording_folder(options.output)) if p.exists()]
    if there and not options.resume:
        raise OptionError(
            f"{there[0]} is already there; go on with it by --resume, or name another log."
        )
    skip = options.skip_unreadable
    train, skipped = read_samples(
        options.labels, options.images, classes=classes, skip_unreadable=skip
    )
    if len(np.unique(train.labels)) < 2:
        raise TableError(
            f"{options.labels} has images of one class only ({train.given()[0]!r}); a classifier "
            "needs at least two."
        )
    test = None
    if options.test is not None:
        test, more = read_samples(
            options.test, options.images, classes=train.classes, skip_unreadable=skip
        )
        skipped += more
    if skipped:
        print(f"left out {len(skipped)} images that cannot be read:", file=sys.stderr)
        print("\n".join(f"  {line}" for line in skipped[:20]), file=sys.stderr)
    return TrainPlan(options, train, test, skipped)


def not_ours(checkpoint: Path, error: Exception) -> str:
    """Say that a checkpoint is none that lossan wrote, whatever it made an adapter raise."""
    text = str(error).strip() or type(error).__name__
    return (
        f"{checkpoint} is not a checkpoint of this training ({text.splitlines()[0]}). Remove it "
        "and the recording beside it to train from the start, or name another log."
    )
