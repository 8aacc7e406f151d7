"""What a detector is: a name, its needs, and a function from a log to scores and flags."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lossan.config import Config
from lossan.features import Features
from lossan.losslog import LossLog


@dataclass(frozen=True, eq=False, kw_only=True)
class Context:
    """What a detector may use beside the log.

    Parameters
    ----------
    features : Features
        F1 to F6 of the log's samples.
    scale : {"standard", "none"}
        How features are scaled before they are compared.
    seed : int
        Everything random follows from it.
    """

    features: Features
    scale: str = "standard"
    seed: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Detection:
    """What a detector found.

    Parameters
    ----------
    score : ndarray of float64
        Shape (n_samples,); higher = more suspicious, NaN = unscored.
    flagged : ndarray of bool
        Shape (n_samples,); every flagged sample's score is above every other sample's.
    probability : ndarray of float64, optional
        Shape (n_samples,): that the given label is wrong.
    noise_rate : tuple of float, optional
        Estimate, low and high of the share of wrong labels.
    notes : tuple of str
        What the user should know.
    """

    score: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    probability: NDArray[np.float64] | None = None
    noise_rate: tuple[float, float, float] | None = None
    notes: tuple[str, ...] = field(default=())


class Detector(ABC):
    """Base of every detector; implementations are final and hold no state.

    Attributes
    ----------
    name : str
        What ``-d`` takes.
    summary : str
        One line for ``lossan detectors``.
    reference : str
        Where the method comes from.
    needs : tuple of str
        Channels of the log it cannot do without, beside ``loss``.
    Parameters : type of Config
        Its parameters, which ``--set`` reaches.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    Parameters: ClassVar[type[Config]] = Config

    def __init__(self, parameters: Config | None = None) -> None:
        self.parameters = parameters if parameters is not None else self.Parameters()

    @abstractmethod
    def detect(self, log: LossLog, context: Context) -> Detection:
        """Score and flag the samples of a log whose truth it cannot see.

        Raises
        ------
        DetectorError
            When nothing can be said about this log.
        """
