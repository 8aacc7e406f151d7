"""Peers and baselines that a loss log alone serves."""

import numpy as np
from ctrl import ctrl
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture
from work import Found, Work


def clustered_curves(work: Work) -> Found:
    """CTRL with its search."""
    correct = work.last_predicted == work.given
    return Found(*ctrl(work.loss, work.given, correct, work.n_classes))


def mean_loss_mixture(work: Work) -> Found:
    """Mean loss, two-component Gaussian mixture with DivideMix's settings (Li 2020)."""
    mean = work.loss.mean(axis=1)
    scaled = ((mean - mean.min()) / np.ptp(mean)).reshape(-1, 1)
    mixture = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=work.task.seed)
    with np.errstate(all="ignore"):
        posterior = mixture.fit(scaled).predict_proba(scaled)
    return Found(mean, posterior[:, mixture.means_.argmax()] > 0.5)


def data_maps(work: Work) -> Found:
    """Low confidence of data maps (Swayamdipta 2020), which leave the cut to the user."""
    return Found(-work.channel("label_prob").mean(axis=1), None)


def mean_margin(work: Work) -> Found:
    """AUM as a ranking alone: the mean margin of the ordinary run, without threshold samples."""
    return Found(-work.channel("margin").mean(axis=1), None)


def last_loss(work: Work) -> Found:
    """Rank by the last epoch's loss."""
    return Found(work.loss[:, -1].copy(), None)


def at_random(work: Work) -> Found:
    """Rank at random and flag half."""
    score = np.random.default_rng(work.task.seed).random(len(work.given))
    return Found(score, score > 0.5)


def all_negative(work: Work) -> Found:
    """Flag nothing."""
    n = len(work.given)
    return Found(np.zeros(n), np.zeros(n, bool))


def cleanlab_of(work: Work, probability: NDArray[np.float64], filter_by: str) -> Found:
    """Confident learning by the package cleanlab: its filter's flags, its quality scores."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    flagged = find_label_issues(work.given, probability, filter_by=filter_by, n_jobs=1)
    return Found(1 - get_label_quality_scores(work.given, probability), np.asarray(flagged, bool))
