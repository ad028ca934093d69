"""Stage 3, LABELING: what people say of the images, kept for good, and how it reaches the split.

``store`` keeps every answer, ``answers`` says what they amount to, ``settle`` brings that into
``split.csv`` and hand edits of it back, ``rounds`` says what is asked, ``audit`` what a random
sample of checked predictions is worth.
"""
