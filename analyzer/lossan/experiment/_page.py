"""The experiment's report: what is shown is computed here, the template only lays it out."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from lossan.experiment._choices import choices
from lossan.experiment._depends import depends_figures, varying
from lossan.experiment._paper import PAPER, PAPER_ACCURACY, PAPER_CLOSED
from lossan.experiment._search import wrong_in
from lossan.experiment._summary import Budget, ExperimentSummary, Retraining
from lossan.pipeline import Result
from lossan.report import (
    BLUE,
    GREEN,
    GREY,
    RED,
    Line,
    Thumbnails,
    draw_lines,
    draw_sequences,
    render_page,
)
from lossan.typical import TYPICAL, typical_rows

_BY_ITS_COUNTS = {"precision": "49.8%", "f1": "60.0%"}  # which the paper does not state
_SHOWN = 6  # images a direction in the paper's Fig. 5
_DIRECTIONS = 8


def render(summary: ExperimentSummary, results: list[Result], images: Path) -> str:
    """Write the page."""
    first, two = results[0], summary.experiment2
    totals = {
        name: (sum(c.right for c in labels.values()), sum(c.wrong for c in labels.values()))
        for name, labels in summary.table1.items()
    }
    return render_page(
        "experiment.html",
        s=summary,
        paper=PAPER | _BY_ITS_COUNTS,
        paper_accuracy=PAPER_ACCURACY,
        paper_closed=PAPER_CLOSED,
        totals=totals,
        nine=_found_in(summary.budget, 0.09),
        depends=depends_figures(summary),
        detectors=varying(summary, "detector"),
        raw=[t for t in varying(summary, "scale") if t.scale == "none"],
        choices=choices(summary),
        sequences=_sequences(first),
        budget=_budget(summary.budget),
        missed=_missed(first, Thumbnails(images)),
        accuracy=two and _curves(two, "accuracy_by_epoch", "accuracy on B"),
        loss=two and _curves(two, "loss_by_epoch", "mean loss on B (nats)"),
    )


def _found_in(budget: Budget, share: float) -> float:
    """Return the share of the wrong labels found in the first part of the data."""
    return float(np.interp(share, budget.reviewed, budget.detector))


def _sequences(result: Result) -> Any:
    wrong = wrong_in(result)
    scored = ~np.isnan(result.table["score"].to_numpy())
    of_wrong, of_right = typical_rows(wrong & scored, scored, TYPICAL)
    losses = result.log.loss
    kinds = {
        "right labels": losses[result.rows[of_right]],
        "wrong labels": losses[result.rows[of_wrong]],
    }
    return draw_sequences(result.log.epochs, kinds, alt="loss by epoch, right and wrong labels")


def _budget(budget: Budget) -> Any:
    reviewed = [100 * share for share in budget.reviewed]
    lines = [
        Line(reviewed, [100 * v for v in values], name, colour, style)
        for values, name, colour, style in (
            (budget.ideal, "no right label reviewed", GREY, ":"),
            (budget.detector, "by the detector's ranking", RED, "-"),
            (budget.last_loss, "by the last epoch's loss", BLUE, "--"),
            (budget.reviewed, "in random order", GREY, "-"),
        )
    ]
    alt = "share of wrong labels found by share of data reviewed"
    return draw_lines(lines, x="data reviewed (%)", y="wrong labels found (%)", alt=alt)


def _curves(two: Retraining, field: str, what: str) -> Any:
    lines = []
    for figures, name, colour, style in (
        (two.clean, "A, gold standard", GREEN, ":"),
        (two.noisy, "A', with wrong labels", RED, "--"),
        (two.refined, "A'', corrected", BLUE, "-"),
    ):
        values = [np.nan if value is None else value for value in getattr(figures, field)]
        lines.append(Line(range(1, len(values) + 1), values, name, colour, style))
    return draw_lines(lines, x="epoch", y=what, alt=f"{what} by epoch", whole_x=True)


def _missed(result: Result, thumbnails: Thumbnails) -> list[dict[str, Any]]:
    """Group the wrong labels that were not flagged by direction, the most frequent first."""
    rows = np.flatnonzero(wrong_in(result) & ~result.table["flagged"].to_numpy())
    directions: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for record in result.table.take(rows).to_pylist():
        directions[str(record["true_label"]), str(record["label"])].append(record)
    largest = sorted(directions.items(), key=lambda item: (-len(item[1]), item[0]))[:_DIRECTIONS]
    return [
        {
            "true": true,
            "given": given,
            "n": len(records),
            "shown": [
                {"name": str(r["sample_id"]), "image": thumbnails.url(r["path"])}
                for r in records[:_SHOWN]
            ],
        }
        for (true, given), records in largest
    ]
