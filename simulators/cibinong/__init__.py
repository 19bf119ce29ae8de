"""Parts of the simulated testbed at Cibinong: one pilot a file. All but the town is invented."""
