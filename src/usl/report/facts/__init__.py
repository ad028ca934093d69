"""What the report knows: the run folder, the answers of people, and the images, read once."""
