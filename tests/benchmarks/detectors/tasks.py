"""The work of the benchmark: which images, which wrong labels, which training."""

from dataclasses import dataclass, replace

CONFUSED = (
    ("t-shirt", "shirt", 0.3),
    ("shirt", "t-shirt", 0.3),
    ("pullover", "coat", 0.3),
    ("coat", "pullover", 0.3),
    ("sneaker", "ankle-boot", 0.3),
    ("ankle-boot", "sneaker", 0.3),
    ("dress", "t-shirt", 0.1),
    ("sandal", "sneaker", 0.1),
)
"""From class, to class, the share of it: 20% in all, and two classes without a wrong label."""
SLIPS = (
    ("t-shirt", "shirt", 3.0),
    ("shirt", "t-shirt", 4.0),
    ("pullover", "coat", 4.0),
    ("coat", "pullover", 3.0),
    ("shirt", "pullover", 2.0),
    ("coat", "shirt", 1.5),
    ("dress", "coat", 1.0),
    ("dress", "t-shirt", 1.0),
    ("sneaker", "ankle-boot", 1.5),
    ("ankle-boot", "sneaker", 1.5),
    ("sandal", "sneaker", 2.0),
    ("sneaker", "sandal", 1.0),
    ("bag", "shirt", 0.5),
)
"""From class, to class, how often in proportion: what whoever labels in a hurry takes for what."""
_ONE_WAY = (("coat", "pullover", 0.3), ("shirt", "t-shirt", 0.3), ("ankle-boot", "sneaker", 0.3))
_NEXT = tuple((str(digit), str((digit + 1) % 10), 0.2) for digit in range(10))


@dataclass(frozen=True, kw_only=True)
class Task:
    """One training on images whose wrong labels are known.

    Parameters
    ----------
    name : str
    source : str
        Which images.
    n : int, optional
        How many of them, drawn at random; all by default.
    only : tuple of str
        Which classes; all by default.
    fewest : int, optional
        Classes shrink geometrically from ``n`` images of the first to this many of the last.
    noise : {"none", "uniform", "confused", "annotator", "people", "hurried", "crowd"}
        Which labels are made wrong: none; any to any other; shares by class pair (``pairs``);
        mistakes of a network trained on a few other images, which depend on the image itself;
        guesses at blurred images, as people make them; half of them such guesses, half slips, at
        any image, between classes that look alike (`SLIPS`); slips alone, half of them between
        these classes, half between any, unevenly.
    rate : float
        The share of wrong labels.
    pairs : tuple
        From class, to class, the share of it.
    network : {"cnn", "mlp"}
    epochs, batch : int
    learning_rate : float
        Of Adam, constant.
    dropout : float
        Before the last layer.
    seed : int
        Images, wrong labels, initial weights and order follow from it.
    """

    name: str
    source: str
    n: int | None = None
    only: tuple[str, ...] = ()
    fewest: int | None = None
    noise: str = "uniform"
    rate: float = 0.06
    pairs: tuple[tuple[str, str, float], ...] = CONFUSED
    network: str = "cnn"
    epochs: int = 8
    batch: int = 64
    learning_rate: float = 1e-3
    dropout: float = 0.25
    seed: int = 0


_FASHION = {"source": "fashion", "n": 12_000}
_COATS = {"source": "fashion", "only": ("pullover", "coat")}
_CLEAN = {"noise": "none", "rate": 0.0}
_DIGITS = {"source": "digits", "network": "mlp", "dropout": 0.0, "batch": 32}
_FUNDUS = {"source": "fundus", "network": "mlp", "batch": 32, "learning_rate": 1e-4}
_HEAD = {"source": "fashion-features", "network": "mlp", "dropout": 0.0, "learning_rate": 5e-4}
_SHRINKING = {
    "only": ("t-shirt", "shirt", "dress", "pullover", "coat"),
    "n": 1_200,
    "fewest": 300,
}
_MISSED = tuple((name, "t-shirt", 0.2) for name in _SHRINKING["only"][1:])
_AT_ONCE = {**_HEAD, "only": _COATS["only"], "n": 3_000, "learning_rate": 3e-3}
_LONG = {"network": "mlp", "dropout": 0.0, "epochs": 40}

TASKS = (
    Task(name="digits10-flip6", **_DIGITS),
    Task(name="digits10-clean", **_DIGITS, **_CLEAN),
    Task(name="fashion10-flip6", **_FASHION),
    Task(name="fashion10-flip6-short", **_FASHION, epochs=4),
    Task(name="fashion10-flip40", **_FASHION, rate=0.4),
    Task(name="fashion10-flip10-long", **_FASHION, rate=0.1, **_LONG),
    Task(
        name="fashion10-flip10-overfit",
        **{**_FASHION, **_LONG, "n": 6_000, "epochs": 60},
        rate=0.1,
        learning_rate=2e-3,
    ),
    Task(name="fashion10-confused20", **_FASHION, noise="confused", rate=0.2),
    Task(name="fashion10-annotator15", **_FASHION, noise="annotator", rate=0.15),
    Task(name="fashion10-people10", **_FASHION, noise="people", rate=0.1),
    Task(name="fashion10-people40", **_FASHION, noise="people", rate=0.4),
    Task(name="fashion10-imbalanced10", source="fashion", n=2_000, fewest=50, rate=0.1),
    Task(name="fashion10-clean", **_FASHION, **_CLEAN),
    Task(name="fashion2-flip6", **_COATS, n=8_000),
    Task(name="fashion2-small", **_COATS, n=600, batch=32),
    Task(name="fashion2-flip20-long", **_COATS, n=8_000, rate=0.2, **_LONG),
    Task(
        name="fashion2-flip20-overfit",
        **{**_COATS, **_LONG, "network": "cnn"},
        n=3_000,
        rate=0.2,
        learning_rate=2e-3,
        batch=32,
    ),
    Task(
        name="fashion2-oneway10",
        **_COATS,
        n=8_000,
        noise="confused",
        rate=0.1,
        pairs=(("coat", "pullover", 0.2),),
    ),
    Task(name="fashion2-clean", **_COATS, n=8_000, **_CLEAN),
    Task(name="mnist10-flip20", source="mnist", n=12_000, rate=0.2, epochs=12),
    Task(name="mnist10-next20", source="mnist", n=12_000, noise="confused", rate=0.2, pairs=_NEXT),
    Task(name="mnist10-clean", source="mnist", n=12_000, **_CLEAN),
    Task(name="head10-flip20", **_HEAD, rate=0.2),
    Task(name="head10-oneway9", **_HEAD, noise="confused", rate=0.09, pairs=_ONE_WAY),
    Task(name="head10-hurried9", **_HEAD, n=11_000, noise="hurried", rate=0.09),
    Task(name="head10-hurried40", **_HEAD, n=11_000, noise="hurried", rate=0.4),
    Task(name="head10-crowd9", **_HEAD, n=11_000, noise="crowd", rate=0.09),
    Task(name="head10-crowd40", **_HEAD, n=11_000, noise="crowd", rate=0.4),
    Task(name="head10-clean", **_HEAD, **_CLEAN),
    Task(
        name="head5-missed13",
        **_HEAD,
        **_SHRINKING,
        noise="confused",
        rate=0.13,
        pairs=_MISSED,
    ),
    Task(name="head5-clean", **_HEAD, **_SHRINKING, **_CLEAN),
    Task(name="head2-flip20", **_AT_ONCE, rate=0.2),
    Task(name="head2-clean", **_AT_ONCE, **_CLEAN),
    Task(name="fundus2-flip6", **_FUNDUS),
    Task(name="fundus2-flip6-overfit", **{**_FUNDUS, "learning_rate": 1e-3}),
    Task(
        name="fundus2-missed9",
        **_FUNDUS,
        noise="confused",
        rate=0.09,
        pairs=(("referable", "non-referable", 0.25),),
    ),
    Task(name="fundus2-clean", **_FUNDUS, **_CLEAN),
)
QUICK = ("digits10-flip6",)


def chosen(only: list[str] | None, seeds: int = 1) -> list[Task]:
    """Return the tasks by name, all by default, each with so many seeds."""
    known = {task.name: task for task in TASKS}
    unknown = sorted(set(only or ()) - set(known))
    if unknown:
        raise SystemExit(f"no task {', '.join(unknown)}; there are {', '.join(known)}")
    tasks = [known[name] for name in only] if only else list(TASKS)
    more = [replace(t, name=f"{t.name}-seed{s}", seed=s) for t in tasks for s in range(1, seeds)]
    return tasks + more
