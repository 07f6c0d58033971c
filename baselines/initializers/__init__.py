"""Where training starts: fillers of the slots of initialisations."""
