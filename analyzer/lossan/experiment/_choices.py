"""What the paper leaves open, and how the experiment took it."""

from typing import Any

from lossan.experiment._summary import ExperimentSummary
from lossan.features import usual_early


def choices(summary: ExperimentSummary) -> list[tuple[str, str, str]]:
    """Return what is to be chosen, what was, and what the paper says of it.

    Parameters
    ----------
    summary : ExperimentSummary
    """
    options = summary.options
    early = options["early_epochs"]
    split = "by sample" if summary.n_groups is None else "whole groups together"
    return [
        ("network", _network(options), "Inception-v3, ImageNet weights, 550 x 550"),
        ("epochs N", str(options["epochs"]), "8"),
        ("early epochs P", str(early or usual_early(options["epochs"])), "4"),
        ("learning rate", f"{options['lr']:g}", "5e-5"),
        ("optimizer, batch size", f"{options['optimizer']}, {options['batch_size']}", "not stated"),
        ("augmentation", str(options["augmentation"]), "can be used; not stated which"),
        (
            "losses recorded",
            {"train": "in the training pass", "eval": "after each epoch"}[options["record"]],
            "saved for each training epoch; not stated how",
        ),
        (
            "features",
            {"standard": "standardised", "none": "raw"}[options["scale"]],
            "not stated",
        ),
        ("starts of k-means", "10, the best kept", "not stated"),
        ("wrong labels", _noise(options), "6%, 324 of each of two classes"),
        (
            "test set B",
            f"{split}, share {options['test_share']:g}",
            "1,400 images; split not stated",
        ),
        (
            "review",
            {"oracle": "by the gold standard", "people": "by people"}[options["reviewer"]],
            "labels updated to the correct ones",
        ),
        ("epochs of experiment 2", str(options["retrain_epochs"]), "30"),
        ("repetitions", f"{options['seeds']} seeds", "1 run"),
    ]


def _network(options: dict[str, Any]) -> str:
    size, weights = options["image_size"], options["weights"]
    shown = {"imagenet": "ImageNet weights", "none": "random weights"}.get(weights, "own weights")
    return f"{options['model']}, {shown}, {size} x {size}; adapter {options['adapter']}"


def _noise(options: dict[str, Any]) -> str:
    given = options["noise"] == "given"
    return "as the table has them" if given else f"{100 * options['rate']:.3g}% of each class"
