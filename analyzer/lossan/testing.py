"""For authors of plug-ins: logs with planted noise, and the contract of a detector."""
