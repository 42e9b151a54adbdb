"""Conditional VAE: samples of the output given the input; their mean is the prediction, their spread the uncertainty."""
