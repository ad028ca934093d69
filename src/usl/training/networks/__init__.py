"""Methods that train a network on the images, one file each, with a class ``build``."""
