"""Record one's own Keras training and look at its most suspicious labels.

Run it from anywhere: ``[KERAS_BACKEND=torch] python samples/record_keras.py``. scikit-learn's
digits, 6% of the labels wrong, as in samples/digits.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import pandas as pd
from sklearn.datasets import load_digits

import lossan
from lossan_keras import RecordTraining

table = pd.read_csv(Path(__file__).parent / "digits" / "labels-6-percent-wrong.csv")
images = load_digits().images[..., None].astype("float32") / 16

keras.utils.set_random_seed(0)
layers = keras.layers
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(10),
    ]
)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

with TemporaryDirectory() as folder:
    truth = dict(zip(table["sample_id"], table["true_label"], strict=True))
    recording = RecordTraining(f"{folder}/run.parquet", true_labels=truth)
    recording.fit(model, images, table["label"], ids=table["sample_id"], epochs=8, verbose=0)
    result = lossan.analyze(f"{folder}/run.parquet")

print(result.findings.head(10)[["sample_id", "label", "true_label", "f1_mean"]].to_string())
found = result.summary.evaluation
print(f"sensitivity {found.sensitivity:.1%}, specificity {found.specificity:.1%}")
