"""``usl look``: the whole collection on the labelling page's server, by predicted class."""
