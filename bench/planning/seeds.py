"""The ranges of seeds. Reported seeds count from 0; tuning and verification use ranges of their own."""

TUNING_FROM, TUNING_SEEDS = 1000, 1000  # 1000 to 1999
FRESH_FROM = 1 << 51  # seeds of a verification lie in [2^51, 2^52): exact in JSON everywhere
