"""How well a ranking and its flags find the wrong labels; scikit-learn's figures, not our own."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

COLUMNS = ("auroc", "auprc", "f1", "precision", "recall", "best_f1", "share", "flagged")


def measure(
    wrong: NDArray[np.bool_],
    score: NDArray[np.float64] | None,
    flagged: NDArray[np.bool_] | None,
) -> dict[str, float]:
    """Return what can be said of a method on a log; what cannot is absent.

    Parameters
    ----------
    wrong : ndarray of bool
        Shape (n,): which labels are wrong.
    score : ndarray of float64, optional
        Shape (n,), higher = more suspicious; NaN = unscored, which ranks last.
    flagged : ndarray of bool, optional
        Shape (n,): what lies above the method's own threshold.

    Returns
    -------
    dict
        AUROC and AUPRC of the ranking; precision, recall and F1 at the method's own threshold and
        the flagged share of all samples; ``best_f1``, the highest of any cut of the ranking, and
        ``share``, how much of it the threshold reaches.
    """
    figures: dict[str, float] = {}
    if flagged is not None:
        figures["flagged"] = float(flagged.mean())
    if not wrong.any():
        return figures
    if score is not None:
        ranked = np.where(np.isnan(score), -np.inf, score)
        # to ranks: scikit-learn takes no infinities
        ranked = np.unique(ranked, return_inverse=True)[1]
        figures["auroc"] = float(roc_auc_score(wrong, ranked))
        figures["auprc"] = float(average_precision_score(wrong, ranked))
        precision, recall, _ = precision_recall_curve(wrong, ranked)
        total = precision + recall
        figures["best_f1"] = float((2 * precision * recall / np.where(total > 0, total, 1)).max())
    if flagged is not None:
        hits = int((flagged & wrong).sum())
        figures["precision"] = hits / max(1, int(flagged.sum()))
        figures["recall"] = hits / int(wrong.sum())
        figures["f1"] = 2 * hits / (int(flagged.sum()) + int(wrong.sum()))
        if "best_f1" in figures:
            figures["share"] = figures["f1"] / figures["best_f1"]
    return figures
