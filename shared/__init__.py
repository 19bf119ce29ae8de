"""What two or more services need, nothing else."""
