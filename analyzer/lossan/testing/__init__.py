"""For authors of plug-ins: logs with planted noise, and the contract of a detector."""

from lossan.testing._contract import Breach, ContractError, check_detector
from lossan.testing._planted import planted_log

__all__ = ["Breach", "ContractError", "check_detector", "planted_log"]
