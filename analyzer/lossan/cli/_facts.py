"""What a log holds, as plain values."""

from typing import Any

import numpy as np
import pyarrow as pa

from lossan.losslog import LossLog

_FEW = 20


def describe(log: LossLog) -> dict[str, Any]:
    """Return counts, ranges and fields of a log."""
    observed = log.n_observed
    cells = log.n_samples * log.n_epochs
    facts: dict[str, Any] = {
        "n_samples": log.n_samples,
        "n_epochs": log.n_epochs,
        "epochs": [int(log.epochs[0]), int(log.epochs[-1])] if log.n_epochs else [],
        "recorded": log.recorded,
        "sample_id": "integer" if pa.types.is_integer(log.sample_id.type) else "string",
        "fields": ["loss", *log.channels],
        "n_not_observed": cells - int(observed.sum()),
        "n_unscorable": int((observed < 2).sum()),
        "loss_range": _range(log),
    }
    coded = log.coded_label
    if coded is not None:
        counts = np.bincount(coded.codes[coded.codes >= 0], minlength=len(coded.values))
        facts["n_classes"] = len(coded.values)
        if len(counts) <= _FEW:
            names = [str(v) for v in coded.values.to_pylist()]
            facts["labels"] = dict(zip(names, counts.tolist(), strict=True))
    return facts | {"fingerprint": log.fingerprint}


def _range(log: LossLog) -> list[float]:
    finite = [e[np.isfinite(e)] for e in log.loss.T]
    finite = [e for e in finite if len(e)]
    if not finite:
        return []
    return [float(min(e.min() for e in finite)), float(max(e.max() for e in finite))]
