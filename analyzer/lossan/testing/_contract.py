"""The contract of a detector: every rule tried, every breach told at once."""

from dataclasses import dataclass

from lossan.config import Config
from lossan.detectors import Detector
from lossan.detectors._declared import declaration
from lossan.testing._rules import RULES
from lossan.testing._trial import Trial, UnusableError, told


@dataclass(frozen=True)
class Breach:
    """A rule of the contract that a detector breaks.

    Parameters
    ----------
    rule : str
        A stable name, such as ``"determinism"``.
    message : str
        What was seen, and what should have been.
    """

    rule: str
    message: str


class ContractError(AssertionError):
    """A detector that breaks the contract, with every breach found.

    It is an ``AssertionError`` and not a ``LossanError``: a failed test of a plug-in, not something
    wrong with what a user gave.

    Parameters
    ----------
    name : str
        The detector.
    breaches : tuple of Breach
        At least one.
    """

    def __init__(self, name: str, breaches: tuple[Breach, ...]) -> None:
        self.name = name
        self.breaches = breaches
        lines = "\n".join(f"  {i}. {b.rule}: {b.message}" for i, b in enumerate(breaches, 1))
        super().__init__(f"{name} breaks the contract of a detector:\n{lines}")


def check_detector(
    detector: type[Detector], *, parameters: Config | None = None, seed: int = 0
) -> None:
    """Hold a detector to the contract, on logs with planted noise.

    The rules, by the names they have in a breach:

    - **declaration**: a concrete `Detector` with a name, a one-line summary, a reference,
      needs among the fields of the log (never ``true_label``), and parameters with defaults;
    - **output**: a `Detection`; scores float64, finite or NaN, one a sample; flags bool;
      probabilities in [0, 1] or NaN; a noise rate with low <= estimate <= high;
    - **ranking**: every flagged sample scores above every other one, and is scored;
    - **determinism**: the seed of the context decides, numpy's global state is not used;
    - **order**: the same samples in another order, under other ids, get the same results, but for
      one in a hundred, which a random start may settle otherwise;
    - **input**: the log and its features are left as they were;
    - **truth**: ``true_label`` changes nothing;
    - **needs**: a log with nothing but ``loss`` and what it needs is enough; both scales work;
    - **gaps**: with missing observations and without, samples seen at two epochs or more are
      scored, others are unscored and unflagged;
    - **noise**: planted wrong labels are found, by score and by flag;
    - **degenerate**: logs in which nothing can be told apart, or with one sample, raise
      `DetectorError`.

    Parameters
    ----------
    detector : type of Detector
        The class, not an instance.
    parameters : Config, optional
        Its parameters, by default its own defaults.
    seed : int
        What the planted logs and the detector's context are seeded with.

    Raises
    ------
    ContractError
        With all breaches at once.

    Examples
    --------
    >>> from lossan.detectors import find
    >>> check_detector(find("kmeans"))
    """
    breaches = [Breach("declaration", m) for m in declaration(detector)]
    trial = None
    try:
        if not any(b.message.startswith("needs ") for b in breaches):  # it says what to try it on
            trial = Trial(detector(parameters), seed)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (all that it raises is a breach)
        breaches.append(Breach("declaration", f"it cannot be made: {told(error)}"))
    if trial is not None:
        for rule, check in RULES.items():
            try:
                for message in check(trial):
                    breaches.append(Breach(rule, message))  # noqa: PERF401  (kept if the next raises)
            except UnusableError as error:
                breaches.append(Breach(rule, str(error)))
                if rule == "output":
                    break  # nothing to hold the other rules to
    if breaches:
        raise ContractError(str(getattr(detector, "name", detector)), tuple(breaches))
