"""The command `lab`, and the supervisor of its demo."""
