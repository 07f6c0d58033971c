"""Which seeds are for what. Reported seeds count from 0; nothing else uses the other two ranges."""

TUNING_FROM, TUNING_SEEDS = 1000, 1000  # 1000 to 1999
FRESH_FROM = 1 << 51  # seeds of a verification lie in [2^51, 2^52): exact in JSON everywhere
