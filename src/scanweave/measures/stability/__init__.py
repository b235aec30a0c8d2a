"""Stability of a reconstruction: worst-case and random perturbations, small structures, more data.

A method is any differentiable function of a measurement: a network, a whole unrolled workflow, a classical solver.
"""
