"""CTRL's clusters of small classes are those of k-means, found without it where they can be."""

import numpy as np
import pytest
import sklearn.cluster
import threadpoolctl
from sklearn.cluster import KMeans

from lossan.detectors import _ctrl


def by_kmeans(curves, codes, clusters, seed):
    """Cluster each class by scikit-learn alone."""
    ranks = np.full(len(curves), clusters - 1)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        if len(np.unique(curves[rows], axis=0)) >= clusters:
            model = KMeans(clusters, n_init=3, random_state=seed).fit(curves[rows])
            order = np.argsort(np.argsort(-model.cluster_centers_.sum(axis=1)))
            ranks[rows] = order[model.labels_]
    return ranks


@pytest.mark.parametrize("clusters", [2, 3])
@pytest.mark.parametrize("decimals", [0, 1, 9])  # the coarser, the more curves are the same
def test_clusters_are_those_of_k_means(clusters, decimals):
    rng = np.random.default_rng(decimals)
    codes = rng.permutation(np.repeat(np.arange(12), [2, 3, 3, 3, 3, 3, 3, 4, 4, 6, 9, 20]))
    curves = rng.gamma(2, 0.7, (len(codes), 4)).round(decimals)
    found = _ctrl._ranks(curves, codes, clusters, 0)
    np.testing.assert_array_equal(found, by_kmeans(curves, codes, clusters, 0))


def test_k_means_is_not_asked_where_each_curve_is_a_cluster(monkeypatch):
    monkeypatch.setattr(sklearn.cluster, "KMeans", None)
    curves = np.array([[1.0, 1], [3, 2], [2, 2], [3, 2]])
    assert _ctrl._ranks(curves, np.zeros(4, int), 3, 0).tolist() == [2, 0, 1, 0]


def test_the_threads_are_limited_once_for_all_classes(monkeypatch):
    """To find their libraries costs more than to cluster a few curves."""
    limited = []

    class Limits(threadpoolctl.threadpool_limits):
        def __init__(self, **options):
            limited.append(options)
            super().__init__(**options)

    monkeypatch.setattr(threadpoolctl, "threadpool_limits", Limits)
    curves = np.random.default_rng(0).gamma(2, 0.7, (40, 4))
    settings = list(_ctrl._candidates(curves, np.arange(40) % 10, 0))
    assert len(settings) == 18
    assert limited == [{"limits": 1}] * 6  # as often as the search looks at all classes
