"""The audit log's chain: sealed every second, anchored daily, verified from its start."""
