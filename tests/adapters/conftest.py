"""Small real images to train on, and what both adapters are tried with."""

import csv
import os
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Return a folder of 120 real digits, 0 and 1, as PNG files with a labels table."""
    image = pytest.importorskip("PIL.Image")
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("digits")
    pixels, labels = load_digits(n_class=2, return_X_y=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample_id", "path", "label", "group"])
        for number, (row, label) in enumerate(zip(pixels[:120], labels[:120], strict=True)):
            grey = (row.reshape(8, 8) * 255 / 16).astype(np.uint8)
            name = f"{number:03d}.png"
            image.fromarray(grey).resize((24, 24)).save(folder / name)
            writer.writerow([f"d{number:03d}", name, ["zero", "one"][label], number // 2])
    return folder


@pytest.fixture(autouse=True)
def factories_are_importable(monkeypatch):
    """Let ``--model factories:...`` find the networks beside the tests."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    yield
    sys.modules.pop("factories", None)


@pytest.fixture(scope="session")
def reference():
    """Return a function that computes every channel, sample by sample, in float64."""

    def channels(logits, labels):
        rows = []
        for z, y in zip(np.asarray(logits, np.float64), np.asarray(labels), strict=True):
            p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
            rows.append((-np.log(p[y]), p[y], z[y] - np.delete(z, y).max(), p.max(), z.argmax()))
        return np.array(rows).T

    return channels
