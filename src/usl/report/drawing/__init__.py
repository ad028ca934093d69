"""How the report draws: HTML, charts, thumbnails and sheets of them."""
