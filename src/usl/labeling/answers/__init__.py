"""What people say of the images, kept for good, and how it reaches ``split.csv``."""
