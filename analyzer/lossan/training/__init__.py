"""What every adapter's training shares: options, samples, images, order, history."""

from lossan.training._adapters import Adapter, find_adapter, installed_adapters
from lossan.training._batches import image_batches
from lossan.training._factories import call_factory, check_network
from lossan.training._history import (
    History,
    evaluation_figures,
    history_file,
    read_history,
    read_test_set,
    right_of,
)
from lossan.training._images import augment, load_image, open_image, ready_pillow
from lossan.training._options import TrainOptions
from lossan.training._plan import TrainPlan, make_plan, not_ours
from lossan.training._progress import Progress
from lossan.training._samples import (
    SampleSet,
    batch_rows,
    epoch_order,
    fingerprint_of_test,
    read_samples,
    sample_rng,
)

__all__ = [
    "Adapter",
    "History",
    "Progress",
    "SampleSet",
    "TrainOptions",
    "TrainPlan",
    "augment",
    "batch_rows",
    "call_factory",
    "check_network",
    "epoch_order",
    "evaluation_figures",
    "find_adapter",
    "fingerprint_of_test",
    "history_file",
    "image_batches",
    "installed_adapters",
    "load_image",
    "make_plan",
    "not_ours",
    "open_image",
    "read_history",
    "read_samples",
    "read_test_set",
    "ready_pillow",
    "right_of",
    "sample_rng",
]
