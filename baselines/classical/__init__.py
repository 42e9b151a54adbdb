"""Methods without a network: floors and what was done before."""
