"""Which trials show what a result depends on."""

import itertools

from lossan.experiment._depends import varying
from lossan.experiment._summary import Budget, ExperimentSummary, Search, Trial


def trial(rate=0.06, n_epochs=8, early=4, scale="standard", detector="kmeans"):
    figures = dict.fromkeys(("sensitivity", "specificity", "auprc"), 0.5)
    return Trial(
        rate=rate,
        n_epochs=n_epochs,
        early_epochs=early,
        scale=scale,
        detector=detector,
        n_seeds=1,
        flagged_fraction=0.1,
        figures=figures,
        low=figures,
        high=figures,
    )


def summary(*trials, early_epochs=None):
    return ExperimentSummary(
        lossan_version="",
        created="",
        n_train=1,
        n_test=1,
        n_groups=None,
        classes=[],
        table1={},
        table1_per_seed=[],
        experiment2=None,
        notes=[],
        options={
            "rate": 0.06,
            "epochs": 8,
            "scale": "standard",
            "detector": "kmeans",
            "early_epochs": early_epochs,
        },
        experiment1=Search(per_seed=[], mean={}),
        budget=Budget(reviewed=[], detector=[], last_loss=[], ideal=[]),
        trials=list(trials),
    )


def test_one_field_varies_and_all_others_are_as_chosen():
    every = [
        trial(rate, n, early, scale, detector)
        for rate, n, early, scale, detector in itertools.product(
            (0.4, 0, 0.06), (8, 2, 4), (1, 2, 4), ("none", "standard"), ("auto", "kmeans")
        )
        if early < n
    ]
    found = summary(*every)
    assert [(t.n_epochs, t.early_epochs) for t in varying(found, "n_epochs")] == [
        (2, 1),
        (4, 2),
        (8, 4),
    ]
    assert [t.early_epochs for t in varying(found, "early_epochs")] == [1, 2, 4]
    assert [t.rate for t in varying(found, "rate")] == [0, 0.06, 0.4]
    assert [t.detector for t in varying(found, "detector")] == ["kmeans", "auto"]
    assert [t.scale for t in varying(found, "scale")] == ["standard", "none"]
    raw = varying(found, "n_epochs", scale="none")
    assert {t.scale for t in raw} == {"none"}
    assert {t.detector for t in raw} == {"kmeans"}


def test_early_epochs_as_chosen():
    found = summary(trial(early=4), trial(early=2), trial(rate=0.2, early=2), early_epochs=2)
    assert [(t.rate, t.early_epochs) for t in varying(found, "rate")] == [(0.06, 2), (0.2, 2)]
    assert [t.early_epochs for t in varying(found, "n_epochs")] == [4]  # half, whatever N is
