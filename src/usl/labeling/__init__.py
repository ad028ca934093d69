"""Stage 3, LABELING: the labelling page, the store of answers, and exchange with other tools."""
