"""When to stop: the rule of right labels in a row, and how many wrong ones are left."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossan.review._decision import Decision, Name
from lossan.review._outcomes import Outcome, outcomes
from lossan.review._queue import Findings, as_table

CLEAN = 30
"""So many right labels in a row are enough by default."""
_ALPHA = 0.05


@dataclass(frozen=True)
class Stopping:
    """How far a review came, and whether it may end.

    Parameters
    ----------
    clean_in_a_row : int
        Of the samples reviewed, in order of suspicion, the last so many have right labels.
    reviewed : int
        Samples with a decision that counts.
    wrong_found : int
        Those of them that some reader or the adjudicator gave another label.
    queue_left : int
        Flagged samples without a decision.
    expected_left : float or None
        The expected number of wrong labels among all samples without a decision, the sum of their
        probabilities; None where the detector gives none.
    rate_at_most : float
        What the rate of wrong labels among those less suspicious is at most, at 95% confidence.
    stop : bool
    advice : str
    """

    clean_in_a_row: int
    reviewed: int
    wrong_found: int
    queue_left: int
    expected_left: float | None
    rate_at_most: float
    stop: bool
    advice: str


def stopping(findings: Findings, decisions: Iterable[Decision], *, clean: int = CLEAN) -> Stopping:
    """Tell how far a review came, and whether it may end.

    It may when all flagged samples are reviewed, or when the last ones in order of suspicion, so
    many as `clean` says, have right labels and none more suspicious is left. Where nothing is
    flagged every sample stands in for a flagged one.

    After k right labels in a row a rate p of wrong ones has had the chance (1 - p)^k of staying
    unseen; p is bounded where that is below 5%. As every wrong label starts another row, and one
    of many rows is long by chance, the j-th row may spend only the part 1 / (j (j + 1)) of the 5%,
    parts that sum to 1: so the bound holds at 95% confidence though one stops at the first row
    that is long enough. It supposes that less suspicious labels are wrong no more often.

    Parameters
    ----------
    findings : DataFrame or pyarrow.Table
        Most suspicious first.
    decisions : iterable of Decision
    clean : int
    """
    table = as_table(findings)
    made = outcomes(decisions)
    ids: list[Name] = table["sample_id"].to_pylist()
    seen = np.fromiter((sample in made for sample in ids), bool, len(ids))
    flagged = table["flagged"].to_numpy().astype(bool)
    rows = np.flatnonzero(seen)
    wrong = np.array([_is_wrong(made[ids[row]]) for row in rows], bool)
    right = np.array([made[ids[row]].action == "keep" for row in rows], bool)
    row_of_last = int(rows[-1]) if len(rows) else 0
    some = bool(flagged.any())
    unread = (flagged if some else np.ones_like(flagged)) & ~seen
    skipped = int(unread[:row_of_last].sum())
    streak = _streak(right)
    left = int(unread.sum())
    expected = _expected(table, ~seen)
    enough = streak >= clean and not skipped
    at_most = rate_at_most(streak, int((~right).sum()) + 1)
    return Stopping(
        clean_in_a_row=streak,
        reviewed=len(rows),
        wrong_found=int(wrong.sum()),
        queue_left=left if some else 0,
        expected_left=expected,
        rate_at_most=at_most,
        stop=enough or not left,
        advice=("" if some else "Nothing is flagged. ")
        + _advice("suspects" if some else "samples", left, streak, clean, skipped, at_most)
        + _left(expected),
    )


def _is_wrong(outcome: Outcome) -> bool:
    if outcome.state == "conflict":
        return any(d.action == "relabel" for d in outcome.decisions)
    return outcome.action == "relabel"


def _streak(right: NDArray[np.bool_]) -> int:
    breaks = np.flatnonzero(~right)
    return len(right) - (int(breaks[-1]) + 1 if len(breaks) else 0)


def rate_at_most(streak: int, row: int) -> float:
    """Return the bound of the rate of wrong labels after so many right ones, in the row-th row.

    Examples
    --------
    >>> round(rate_at_most(30, 1), 3), round(rate_at_most(30, 10), 3), rate_at_most(0, 1)
    (0.116, 0.226, 1.0)
    """
    if not streak:
        return 1.0
    return float(1 - (_ALPHA / (row * (row + 1))) ** (1 / streak))


def _expected(findings: Findings, unseen: NDArray[np.bool_]) -> float | None:
    if "probability" not in findings.column_names:
        return None
    probability = findings["probability"].to_numpy().astype(float)
    if np.isnan(probability).all():
        return None
    return float(np.nansum(probability[unseen]))


def _advice(what: str, left: int, streak: int, clean: int, skipped: int, at_most: float) -> str:
    if not left:
        return f"All {what} have been reviewed."
    if not streak:
        return (
            f"Go on: {left:,} {what} are left; {clean} right labels in a row, in order of "
            "suspicion, would be enough."
        )
    if streak < clean:
        return (
            f"Go on: {left:,} {what} are left, and the last {streak} in order of suspicion had "
            f"right labels; {clean} in a row would be enough."
        )
    if skipped:
        return (
            f"Go back: the last {streak} in order of suspicion had right labels, but {skipped:,} "
            "more suspicious ones have not been reviewed."
        )
    return (
        f"You may stop: the last {streak} in order of suspicion had right labels, so of the "
        f"{left:,} less suspicious ones at most {at_most:.0%} should be wrong (95% confidence)."
    )


def _left(expected: float | None) -> str:
    if expected is None:
        return ""
    about = f"{expected:,.0f}" if expected >= 10 else f"{expected:.1f}"
    return f" About {about} wrong labels are expected among all samples not reviewed."
