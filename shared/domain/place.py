"""The words for places and life cycle that every service shares."""

from typing import Final, Literal, get_args

Stage = Literal["foundation", "experiment", "spread"]
Origin = Literal["measured", "recorded", "simulated"]
STAGES: Final = get_args(Stage)
ORIGINS: Final = get_args(Origin)
