"""Learning-rate schedules beyond those of `bench.schedules`."""
