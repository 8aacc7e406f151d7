"""Readers' decisions on findings: what is kept, what it comes to, and what to look at next."""

from lossan.review import _exchange as exchange
from lossan.review._agreement import Agreement, cohen_kappa
from lossan.review._apply import Applied, apply_decisions
from lossan.review._decision import LEGIBLE, Decision, Shown, is_legible, new_id, now
from lossan.review._fingerprint import findings_fingerprint
from lossan.review._images import ImageFolder
from lossan.review._log import DECISIONS, DecisionLog
from lossan.review._open import open_decisions
from lossan.review._outcomes import Outcome, active, opinion, outcomes, standing
from lossan.review._press import Plan
from lossan.review._queue import ORDERS, queue
from lossan.review._server_run import Listener, check_review, serve_review
from lossan.review._session import Review, open_review
from lossan.review._stopping import CLEAN, Stopping, stopping
from lossan.review._summary import ReviewSummary, summarise_review

__all__ = [
    "CLEAN",
    "DECISIONS",
    "LEGIBLE",
    "ORDERS",
    "Agreement",
    "Applied",
    "Decision",
    "DecisionLog",
    "ImageFolder",
    "Listener",
    "Outcome",
    "Plan",
    "Review",
    "ReviewSummary",
    "Shown",
    "Stopping",
    "active",
    "apply_decisions",
    "check_review",
    "cohen_kappa",
    "exchange",
    "findings_fingerprint",
    "is_legible",
    "new_id",
    "now",
    "open_decisions",
    "open_review",
    "opinion",
    "outcomes",
    "queue",
    "serve_review",
    "standing",
    "stopping",
    "summarise_review",
]
