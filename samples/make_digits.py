"""Make the digits samples: a real log, recorded in a plain training loop.

scikit-learn ships 1,797 real handwritten digits. 6% of the labels in each class are flipped by
`lossan corrupt`, a small network is trained for 8 epochs in a plain loop, and the Recorder notes
each sample's loss after each epoch. Run it from anywhere: ``python samples/make_digits.py``.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

# One thread, so that the losses come out the same on every run.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import lossan

HERE = Path(__file__).parent / "digits"
EPOCHS, BATCH, SEED = 8, 32, 0


def lossan_command(*arguments: str | Path) -> None:
    """Run the lossan command."""
    subprocess.run([sys.executable, "-m", "lossan", *map(str, arguments)], check=True)


def write_truth(labels: np.ndarray, path: Path) -> None:
    """Write the labels table as it came from its source."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sample_id", "label"])
        writer.writerows([f"digit-{i:04d}", int(y)] for i, y in enumerate(labels))


def train_and_record(images: np.ndarray, rows: list[dict[str, str]], target: Path) -> None:
    """Train for some epochs and record, after each one, every sample's loss."""
    ids = np.array([row["sample_id"] for row in rows])
    given = np.array([int(row["label"]) for row in rows])
    model = MLPClassifier(hidden_layer_sizes=(64,), learning_rate_init=3e-3, random_state=SEED)
    rng = np.random.default_rng(SEED)
    with lossan.Recorder(
        target,
        recorded="eval",
        labels=dict(zip(ids, given.tolist(), strict=True)),
        true_labels={row["sample_id"]: int(row["true_label"]) for row in rows},
        classes=list(range(10)),
        metadata={
            "framework": "scikit-learn",
            "model": "MLPClassifier(64)",
            "optimiser": "adam",
            "learning_rate": 3e-3,
            "batch_size": BATCH,
            "seed": SEED,
            "data": "sklearn.datasets.load_digits, 6% of the labels flipped in each class",
        },
        overwrite=True,
    ) as recorder:
        for _ in range(EPOCHS):
            order = rng.permutation(len(ids))
            for batch in np.array_split(order, len(ids) // BATCH):
                model.partial_fit(images[batch], given[batch], classes=range(10))
            probability = np.clip(model.predict_proba(images), 1e-12, 1.0)
            own = probability[np.arange(len(ids)), given]
            recorder.record(
                ids,
                -np.log(own),
                label_prob=own,
                predicted=probability.argmax(axis=1),
                predicted_prob=probability.max(axis=1),
            )
            recorder.end_epoch()


def main() -> None:
    """Make every file of the folder again."""
    HERE.mkdir(parents=True, exist_ok=True)
    images, truth = load_digits(return_X_y=True)
    write_truth(truth, HERE / "labels.csv")
    noisy, log = HERE / "labels-6-percent-wrong.csv", HERE / "long.parquet"
    lossan_command("corrupt", HERE / "labels.csv", "-o", noisy, "--rate", "0.06", "--seed", "0")
    with noisy.open(newline="") as file:
        train_and_record(images / 16.0, list(csv.DictReader(file)), log)
    lossan_command("convert", log, HERE / "wide.parquet", "--layout", "wide")
    lossan_command("convert", log, HERE / "log.npz")


if __name__ == "__main__":
    main()
