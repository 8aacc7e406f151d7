"""Record one's own PyTorch training, then look at its most suspicious labels.

``python samples/record_torch.py run.parquet && lossan analyze run.parquet``. scikit-learn's
digits, 6% of the labels wrong, as in samples/digits.
"""

import sys
from pathlib import Path

import pandas as pd
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lossan_torch import TorchRecorder, WithIds

table = pd.read_csv(Path(__file__).parent / "digits" / "labels-6-percent-wrong.csv")
images = torch.tensor(load_digits().images[:, None], dtype=torch.float32) / 16
dataset = TensorDataset(images, torch.tensor(table["label"]))

torch.manual_seed(0)
loader = DataLoader(WithIds(dataset, table["sample_id"]), batch_size=32, shuffle=True)
model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1152, 10))
optimiser = torch.optim.Adam(model.parameters())

truth = dict(zip(table["sample_id"], table["true_label"], strict=True))
with TorchRecorder(sys.argv[1], recorded="train", true_labels=truth) as recorder:
    for _ in range(8):
        for ids, inputs, targets in loader:
            logits = model(inputs)
            recorder.record(ids, logits=logits, targets=targets)
            optimiser.zero_grad()
            nn.functional.cross_entropy(logits, targets).backward()
            optimiser.step()
        recorder.end_epoch()
