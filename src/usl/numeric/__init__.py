"""Numbers in bounded memory: distances, k-means, inverted lists, PCA, kept stages. No data set, no label."""
