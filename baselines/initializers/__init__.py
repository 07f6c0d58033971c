"""Where training starts: fillers of the slots of initial weights."""
