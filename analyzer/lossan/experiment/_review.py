"""The review of experiment 2: an oracle corrects every flagged label, or people do."""

from pathlib import Path
from typing import Any

from lossan.errors import OptionError
from lossan.experiment._options import ExperimentOptions
from lossan.experiment._store import Store, read_columns, write_samples
from lossan.io import read_labels, write_labels
from lossan.pipeline import Result
from lossan.review import DECISIONS, apply_decisions, open_decisions, outcomes
from lossan.training import SampleSet


def refine(
    options: ExperimentOptions,
    store: Store,
    samples: SampleSet,
    result: Result,
    noisy: Path,
    seed: int,
) -> Path | str:
    """Write A'', or say what people have left to decide.

    Parameters
    ----------
    options : ExperimentOptions
    store : Store
    samples : SampleSet
    result : Result
        The findings of this seed, saved in its folder.
    noisy : Path
        The labels table A'.
    seed : int

    Returns
    -------
    Path or str
        The table, or what is missing for it.

    Raises
    ------
    DecisionsError
        For decisions of other findings, or such as do not fit the labels.
    OptionError
        When decisions were changed after A'' was trained on.
    """
    flagged = result.table.filter(result.table["flagged"])["sample_id"].to_pylist()
    place = noisy.with_name("refined.csv")
    if options.reviewer == "oracle":
        _by_oracle(place, samples, noisy, {str(name) for name in flagged})
        return place
    return _by_people(store, place, noisy, flagged, seed)


def _by_oracle(place: Path, samples: SampleSet, noisy: Path, flagged: set[str]) -> None:
    ids, labels, truth = read_columns(noisy, "sample_id", "label", "true_label")
    corrected = [
        str(right if str(name) in flagged else given)  # one of the two columns may be integers
        for name, given, right in zip(ids, labels, truth, strict=True)
    ]
    row_of = {str(name): row for row, name in enumerate(samples.ids)}
    write_samples(place, samples, [row_of[str(name)] for name in ids], corrected, truth)


def _by_people(store: Store, place: Path, noisy: Path, flagged: list[Any], seed: int) -> Path | str:
    findings = store.folder(f"seed-{seed}", "findings")
    there = (findings / DECISIONS).exists()
    found = outcomes(open_decisions(findings).decisions) if there else {}
    decided = {str(sample) for sample, outcome in found.items() if outcome.action is not None}
    left = [name for name in flagged if str(name) not in decided]
    if left:
        return (
            f"seed {seed}: {len(left)} of {len(flagged)} flagged samples wait for a decision; "
            f"lossan review {findings} --images DIR, and then the same command again"
        )
    corrected = apply_decisions(read_labels(noisy, needed=("sample_id", "label")), found).labels
    if place.exists():
        if read_columns(place, "sample_id", "label") != [
            corrected.column(field).to_pylist() for field in ("sample_id", "label")
        ]:
            raise OptionError(
                f"decisions in {findings} were changed after {place.name} was made of them; remove "
                f"{place} and retrain-refined.* beside it to train on the new ones."
            )
        return place
    write_labels(corrected, place)
    return place
