"""Why a sample is suspected, in plain words and in the numbers they say."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossan.losslog import LossLog
from lossan.results import Summary
from lossan.signals import mistakes, probs_of_two

Name = int | str


@dataclass(frozen=True)
class Contradiction:
    """How the network's predictions stood to the given label of a sample.

    Parameters
    ----------
    n_epochs : int
        Epochs with a prediction.
    n_against : int
        Epochs at which another class was predicted.
    says : int or str, optional
        The class predicted most often among those.
    n_says : int
        Epochs at which it was.
    certainty : float, optional
        Its mean probability at them.
    """

    n_epochs: int
    n_against: int = 0
    says: Name | None = None
    n_says: int = 0
    certainty: float | None = None


def contradictions(log: LossLog, summary: Summary) -> list[Contradiction | None]:
    """Return, for each sample of a log, how the predictions stood to its label.

    Predictions are read from the log; of two classes they follow from the given label's probability
    or margin, or from the loss, as cross-entropy has it. None where neither holds.

    Parameters
    ----------
    log : LossLog
        Of some of the samples that the summary is about.
    summary : Summary
    """
    if log.coded_label is None:
        return [None] * log.n_samples
    classes: list[Name] = [c.label for c in summary.per_class if c.label is not None]
    # classes none of which is ever a label say nothing of labels, as in the analysis
    if log.predicted is not None and set(log.predicted.values.to_pylist()) & set(classes):
        return _predicted(log)
    stated = log.metadata.get("classes")
    if len(classes) != 2 or (isinstance(stated, list) and len(stated) > 2):
        return [None] * log.n_samples
    return _of_two(log, classes)


def explain(
    found: Contradiction | None, label: Name | None, mean_loss: float, summary: Summary
) -> str:
    """Say why a sample is suspected.

    Parameters
    ----------
    found : Contradiction or None
    label : int, str or None
        The given label.
    mean_loss : float
        The sample's F1, in nats.
    summary : Summary

    Returns
    -------
    str
        A sentence or two.
    """
    return " ".join(filter(None, (_network(found), _loss(label, mean_loss, summary))))


def _network(found: Contradiction | None) -> str:
    if found is None or not found.n_epochs:
        return ""
    if not found.n_against:
        return f"The network predicts the given label at {_epochs(found.n_epochs, found.n_epochs)}."
    text = (
        f"The network contradicts the label at {_epochs(found.n_against, found.n_epochs)} and "
        f"{'says' if found.n_says == found.n_against else 'mostly says'} {found.says}"
    )
    return text + ("." if found.certainty is None else f" with {found.certainty:.2f}.")


def _epochs(count: int, of: int) -> str:
    return f"all {of} epochs" if count == of else f"{count} of {of} epochs"


def _loss(label: Name | None, mean_loss: float, summary: Summary) -> str:
    usual, who = None, "unflagged samples"
    for entry in summary.per_class:
        if label is not None and entry.label == label:
            usual, who = entry.median_loss, f"others labelled {label}"
    if usual is None:
        spread = summary.features[0].unflagged if summary.features else None
        usual, who = (spread.p50 if spread else None), "unflagged samples"
    where = "" if usual is None else f", where {who} have {usual:.2f}"
    return f"Its mean loss is {mean_loss:.2f}{where}."


def _predicted(log: LossLog) -> list[Contradiction | None]:
    assert log.predicted is not None  # noqa: S101  (the caller checked)
    against = mistakes(log)
    codes, values = log.predicted.codes, log.predicted.values
    names = values.to_pylist()
    # of equally frequent classes the one whose name comes first, as suggestions have it
    by_name = np.argsort(pc.sort_indices(values).to_numpy())
    found: list[Contradiction | None] = []
    for row in range(log.n_samples):
        n_epochs = int((~np.isnan(against[row])).sum())
        here = codes[row][against[row] == 1]
        if not len(here):
            found.append(Contradiction(n_epochs))
            continue
        seen, times = np.unique(here, return_counts=True)
        best = min(range(len(seen)), key=lambda i: (-times[i], by_name[seen[i]]))
        at = codes[row] == seen[best]
        found.append(
            Contradiction(
                n_epochs,
                len(here),
                names[seen[best]],
                int(times[best]),
                None if log.predicted_prob is None else _mean(log.predicted_prob[row][at]),
            )
        )
    return found


def _of_two(log: LossLog, classes: list[Name]) -> list[Contradiction | None]:
    other = {classes[0]: classes[1], classes[1]: classes[0]}
    assert log.label is not None  # noqa: S101  (the caller checked)
    found: list[Contradiction | None] = []
    for label, probs in zip(log.label.to_pylist(), probs_of_two(log), strict=True):
        seen = probs[~np.isnan(probs)]
        against = seen[seen < 0.5]
        if label is None:
            found.append(None)
        elif not len(against):
            found.append(Contradiction(len(seen)))
        else:
            count, sure = len(against), _mean(1 - against)
            found.append(Contradiction(len(seen), count, other[label], count, sure))
    return found


def _mean(values: NDArray[np.floating]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else None
