"""What every HTTP server of ours has around its application: limits, peers, problems."""
