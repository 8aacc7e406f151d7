"""What the verdicts on all pieces amount to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossan.describe import class_medians, leading_pairs
from lossan.engines._pieces import Pieces, codes_in
from lossan.engines._samples import Sample, sample_of
from lossan.engines._verdict import EVALUATED, Truth, Verdict
from lossan.evaluate import evaluate, evaluation_of
from lossan.results import ClassPair, ClassSummary, Evaluation, NoiseRate
from lossan.summarise import noise_rate


@dataclass(frozen=True, eq=False)
class Tally:
    """The verdicts put together.

    Parameters
    ----------
    pieces : Pieces
    verdicts : list of Verdict
        One of each piece.
    step : int
        Every so manieth sample is described.
    """

    pieces: Pieces
    verdicts: Sequence[Verdict]
    step: int

    @property
    def n_flagged(self) -> int:
        """How many samples are flagged."""
        return sum(v.n_flagged for v in self.verdicts)

    @property
    def n_unscored(self) -> int:
        """How many samples have no score."""
        return sum(v.n_unscored for v in self.verdicts)

    @property
    def noise_rate(self) -> NoiseRate | None:
        """The share of wrong labels, where the detector estimates it."""
        return noise_rate(self.verdicts[0].noise_rate)

    def bound(self, count: int) -> float:
        """Return the score that the first ``count`` samples reach."""
        top = np.concatenate([v.top for v in self.verdicts])
        if not len(top) or not count:
            return np.inf
        return float(np.partition(top, max(0, len(top) - count))[max(0, len(top) - count)])

    def evaluation(self, code: int | None = None) -> Evaluation | None:
        """Return the evaluation of all samples, or of those of one given label."""
        truths = [v.truth for v in self.verdicts if v.truth is not None]
        if not truths:
            return None
        if self.pieces.n_samples > EVALUATED:
            counts = np.sum([t.counts for t in truths], axis=0)
            tp, fp, fn, tn = (counts.sum(axis=0) if code is None else counts[code]).tolist()
            return evaluation_of(tp, fp, fn, tn)
        chosen = [_chosen(t, code) for t in truths]
        wrong, flagged, score, sure = (np.concatenate(each) for each in zip(*chosen, strict=True))
        return evaluate(wrong, flagged, score, None if truths[0].probability is None else sure)

    def pairs(self) -> list[ClassPair]:
        """Return the most frequent pairs of given and suggested label."""
        found: dict[tuple[object, object], ClassPair] = {}
        for pair in (p for v in self.verdicts for p in v.pairs):
            key = (pair.label, pair.suggested_label)
            other = found.get(key)
            found[key] = pair if other is None else _sum(pair, other)
        return leading_pairs(list(found.values()))

    def sample(self) -> Sample:
        """Return the samples that distributions are taken from."""
        described = [v.described for v in self.verdicts]
        return sample_of(self.pieces, described)

    def per_class(self, sample: Sample) -> list[ClassSummary]:
        """Return the counts of each given label."""
        labels = self.pieces.labels
        if labels is None:
            return []
        counts = np.sum([v.by_label for v in self.verdicts], axis=0)
        sums = [v.expected for v in self.verdicts if v.expected is not None]
        expected = np.sum(sums, axis=0) if sums else None
        usual = ~sample.found.flagged & sample.features.scorable
        codes = codes_in(labels, sample.log.label, sample.log.n_samples)
        usual &= codes >= 0
        medians = class_medians(codes[usual], sample.features["f1_mean"][usual], len(labels))
        return [
            ClassSummary(
                label=label,
                n_samples=int(counts[0][code]),
                n_flagged=int(counts[1][code]),
                n_unscored=int(counts[2][code]),
                expected_wrong=None if expected is None else float(expected[code]),
                median_loss=medians[code],
                evaluation=self.evaluation(code),
            )
            for code, label in enumerate(labels.to_pylist())
        ]

    def notes(self) -> list[str]:
        """Return what a reader of the summary should know."""
        notes = list(self.verdicts[0].notes)
        if self.step > 1:
            notes.append(
                f"distributions, medians and typical sequences are of every {self.step:,}th sample"
            )
        if self.pieces.n_samples > EVALUATED and any(v.truth for v in self.verdicts):
            notes.append(f"AUROC and AUPRC are left out of more than {EVALUATED:,} samples")
        return notes


def _chosen(truth: Truth, code: int | None) -> tuple[NDArray[Any], ...]:
    rows = slice(None) if code is None else truth.codes == code
    sure = truth.score if truth.probability is None else truth.probability
    return truth.wrong[rows], truth.flagged[rows], truth.score[rows], sure[rows]


def _sum(one: ClassPair, other: ClassPair) -> ClassPair:
    return ClassPair(
        label=one.label,
        suggested_label=one.suggested_label,
        n_flagged=one.n_flagged + other.n_flagged,
        expected_wrong=None
        if one.expected_wrong is None or other.expected_wrong is None
        else one.expected_wrong + other.expected_wrong,
        n_known=one.n_known + other.n_known,
        n_wrong=one.n_wrong + other.n_wrong,
    )
