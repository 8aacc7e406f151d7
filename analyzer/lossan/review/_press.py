"""What a reader's page sends, and how a review goes."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from lossan.review._decision import LEGIBLE, Order, Reader, is_legible


class ReviewError(Exception):
    """What a page asks for and does not get; no fault, the page says so.

    Parameters
    ----------
    status : int
        Of the HTTP answer.
    reason : str
    """

    def __init__(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(reason)


@dataclass(frozen=True)
class Plan:
    """How a review goes.

    Parameters
    ----------
    order : {"suspicion", "class-pair", "group"}
    top : int, optional
        The so many most suspicious samples, flagged or not; without it all flagged ones.
    blinded : bool
        Labels are hidden until a reader's first opinion.
    adjudicate : bool
        Only the samples on which readers differ.
    reader : str, optional
        Who reads; without it the page asks.
    classes : tuple
        Labels in the order of their keys; those of the findings that are not among them follow.
    """

    order: Order = "suspicion"
    top: int | None = None
    blinded: bool = False
    adjudicate: bool = False
    reader: str | None = None
    classes: tuple[str, ...] = ()


def _legible(reader: str) -> str:
    """Refuse a name that the page could not be opened with."""
    if not is_legible(reader):
        raise ValueError(LEGIBLE)
    return reader


class Press(BaseModel):
    """What a page sends when a key is pressed.

    Parameters
    ----------
    id : str
        Made for this press; sent again it counts once.
    reader : str
    row : int
    action : {"keep", "relabel", "unsure", "exclude", "undo"}
    label : int or str, optional
        With ``relabel``.
    undoes : str, optional
        With ``undo``.
    replaces : str, optional
        The id of the decision that the page showed for the sample: when another stands by now, as
        one made in a second tab, the page is told instead.
    position : int, optional
        In the queue, from 0 on.
    seconds : float, optional
    adjudication : bool
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(strict=True, pattern=r"^[0-9A-Za-z-]{8,64}$")]
    reader: Annotated[Reader, AfterValidator(_legible)]
    row: Annotated[int, Field(strict=True, ge=0)]
    action: Literal["keep", "relabel", "unsure", "exclude", "undo"]
    label: StrictInt | StrictStr | None = None
    undoes: StrictStr | None = None
    replaces: StrictStr | None = None
    position: Annotated[int, Field(strict=True, ge=0)] | None = None
    seconds: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    adjudication: StrictBool = False
