"""F1 to F6 beside the obvious numpy form, in one process, in turn.

``python tests/benchmarks/features.py [--samples 2000000] [--epochs 8] [--rounds 7]``
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from _measure import table

from lossan.features import compute_features


def obvious(loss: np.ndarray) -> np.ndarray:
    """Write the definitions down as numpy on (n_samples, n_epochs), the way one would."""
    n_epochs = loss.shape[1]
    early = n_epochs // 2
    f1 = loss.mean(axis=1)
    f2 = loss[:, :early].mean(axis=1)
    f3 = (loss[:, :-1] - loss[:, 1:]).argmax(axis=1) + 1
    before = np.arange(n_epochs) < f3[:, None]
    f4 = np.where(before, loss, 0).sum(axis=1) / f3
    f5 = np.where(before, 0, loss).sum(axis=1) / (n_epochs - f3)
    return np.stack([f1, f2, f3, f4, f5, f4 - f5])


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print the ratio, pair by pair."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=2_000_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    epoch_major = rng.gamma(1, 1, (options.epochs, options.samples)).astype(np.float32)
    sample_major = np.ascontiguousarray(epoch_major.T)
    np.testing.assert_allclose(
        compute_features(epoch_major.T).values, obvious(sample_major), rtol=2e-5, atol=2e-5
    )
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(seconds(lambda: compute_features(epoch_major.T)))
        theirs.append(seconds(lambda: obvious(sample_major)))
    ratio = statistics.median(t / o for o, t in zip(ours, theirs, strict=True))
    table(
        f"F1 to F6, {options.samples:,} samples x {options.epochs} epochs (target: 4x as fast)",
        ["", "median seconds", "times as fast"],
        [
            ["obvious numpy, float32", f"{statistics.median(theirs):.3f}", "1.0"],
            ["lossan, sums in float64", f"{statistics.median(ours):.3f}", f"{ratio:.1f}"],
        ],
    )


if __name__ == "__main__":
    main()
