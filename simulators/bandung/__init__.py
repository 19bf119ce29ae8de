"""Parts of the simulated PoC of Bandung: one pilot a file. All values and devices are invented."""
