"""Formulations of an equation (slot `formulation` of `pinn/*`): what is trained, its loss, and the field read off it."""
