"""Supervised slice-to-slice regression with an L1 loss."""
