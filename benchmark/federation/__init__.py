"""Scores from where the images may not leave: a site writes a bundle of numbers, the organiser merges bundles into a board.

`bundle` is the file, `making` writes one at the site, `merging` takes them in at the organiser's, `pooling` puts sites together.
`docs/federated.md` is for the site's IT: what leaves the house, and what it could still tell.
"""
