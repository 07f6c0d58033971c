"""Formulations of an equation for a network (slot `formulation` of `pinn/*`): what is trained, its loss, and the field read off it."""
