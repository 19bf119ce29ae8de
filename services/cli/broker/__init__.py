"""`lab broker`: who may connect to the broker, and who tried what they may not."""
