"""Finding points: lungs, candidates, patches around them, heat maps, and marks with probabilities."""
