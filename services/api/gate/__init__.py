"""What every request passes before the application sees it: who, to whom, how much, how often."""
