"""Record one's own Keras training, then look at its most suspicious labels.

``python samples/record_keras.py run.parquet && lossan analyze run.parquet``, on PyTorch with
``KERAS_BACKEND=torch`` before it. scikit-learn's digits, 6% of the labels wrong, as in
samples/digits.
"""

import sys
from pathlib import Path

import keras
import pandas as pd
from sklearn.datasets import load_digits

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

truth = dict(zip(table["sample_id"], table["true_label"], strict=True))
recording = RecordTraining(sys.argv[1], true_labels=truth)
recording.fit(model, images, table["label"], ids=table["sample_id"], epochs=8, verbose=0)
