"""An experiment's figures as compact Markdown tables, to be kept beside its configuration."""

from collections.abc import Iterable, Iterator, Sequence

from lossan.experiment._depends import varying
from lossan.experiment._paper import PAPER, PAPER_ACCURACY, PAPER_CLOSED
from lossan.experiment._summary import METRICS, ExperimentSummary, Mean, Trial

_SETS = {"clean": "A, gold standard", "noisy": "A', wrong labels", "refined": "A'', corrected"}
_TITLES = {
    "n_epochs": "N",
    "early_epochs": "P",
    "rate": "wrong labels",
    "detector": "detector",
    "scale": "features",
}
_REVIEWED = (0.02, 0.06, 0.09, 0.2)


def tables(summary: ExperimentSummary) -> str:
    """Return the tables of `summary.json` that the paper's section 3 has, and what it has not."""
    parts = [
        f"{summary.n_train} images to train on, {summary.n_test} to test, "
        f"{len(summary.experiment1.per_seed)} seeds; mean (95% interval)\n",
        _counts(summary),
        _table(
            ("experiment 1", "here", "paper"),
            (
                (name, _percent(summary.experiment1.mean.get(name)), PAPER.get(name, ""))
                for name in METRICS
            ),
        ),
    ]
    if summary.experiment2 is not None:
        parts.append(_retraining(summary))
    parts.append(_budget(summary))
    parts += _trials(summary)
    return "\n".join(parts)


def _counts(summary: ExperimentSummary) -> str:
    return _table(
        ("labels, first seed", *(f"{c}: right / wrong" for c in map(str, summary.classes))),
        (
            (name, *(f"{n.right} / {n.wrong}" for n in counts.values()))
            for name, counts in summary.table1.items()
        ),
    )


def _retraining(summary: ExperimentSummary) -> str:
    found = summary.experiment2
    assert found is not None  # noqa: S101  (the caller checked)
    rows = []
    for name, title in _SETS.items():
        part = getattr(found, name)
        best = Mean(mean=part.mean, low=part.low, high=part.high)
        rows.append((title, _percent(best), PAPER_ACCURACY[name]))
    closed = "-" if found.gap_closed is None else f"{found.gap_closed:.0%}"
    rows.append(("gap closed", closed, PAPER_CLOSED))
    return _table(("experiment 2: best accuracy on B", "here", "paper"), rows)


def _budget(summary: ExperimentSummary) -> str:
    curve = summary.budget
    rows = []
    for share in _REVIEWED:
        at = min(range(len(curve.reviewed)), key=lambda i: abs(curve.reviewed[i] - share))
        detector, last = curve.detector[at], curve.last_loss[at]
        rows.append((f"{share:.0%}", f"{detector:.0%}", f"{last:.0%}", f"{share:.0%}"))
    return _table(("reviewed", "wrong labels found", "by last loss", "at random"), rows)


def _trials(summary: ExperimentSummary) -> Iterator[str]:
    """Return a table each over N, P, the rates, the detectors and the scaling, where they vary."""
    for varied, title in _TITLES.items():
        rows = varying(summary, varied)
        if len(rows) > 1:
            yield _table(
                (title, "sensitivity", "specificity", "AUPRC"),
                ((_name(getattr(t, varied)), *_figures(t)) for t in rows),
            )


def _name(value: float | str) -> str:
    return f"{value:.0%}" if isinstance(value, float) else str(value)


def _figures(trial: Trial) -> Iterator[str]:
    for name in ("sensitivity", "specificity", "auprc"):
        value = trial.figures.get(name)
        yield "-" if value is None else f"{value:.1%}"


def _percent(value: Mean | None) -> str:
    if value is None or value.mean is None:
        return "-"
    if value.low is None or value.high is None:
        return f"{value.mean:.1%}"
    return f"{value.mean:.1%} ({100 * value.low:.1f} to {100 * value.high:.1f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
