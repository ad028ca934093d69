"""What query strategies train on the images, one file each: see :mod:`usl.active.tasks`."""
