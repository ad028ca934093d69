"""Numbers in bounded memory: distances, k-means, inverted lists, PCA, kept stages."""
