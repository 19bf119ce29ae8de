"""Everything is killed, stopped, paused and cut off under load; what was promised is counted."""
