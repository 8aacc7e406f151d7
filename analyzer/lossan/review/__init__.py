"""Readers' decisions on findings: what is kept, what it comes to, and what to look at next."""

from lossan.review._agreement import Agreement, cohen_kappa
from lossan.review._apply import Applied, apply_decisions
from lossan.review._decision import Decision, Shown, new_id, now
from lossan.review._fingerprint import findings_fingerprint
from lossan.review._log import DECISIONS, DecisionLog
from lossan.review._open import open_decisions
from lossan.review._outcomes import Outcome, active, opinion, outcomes, standing
from lossan.review._queue import ORDERS, queue
from lossan.review._stopping import CLEAN, Stopping, stopping

__all__ = [
    "CLEAN",
    "DECISIONS",
    "ORDERS",
    "Agreement",
    "Applied",
    "Decision",
    "DecisionLog",
    "Outcome",
    "Shown",
    "Stopping",
    "active",
    "apply_decisions",
    "cohen_kappa",
    "findings_fingerprint",
    "new_id",
    "now",
    "open_decisions",
    "opinion",
    "outcomes",
    "queue",
    "standing",
    "stopping",
]
