"""Small classifiers of pictures on which optimizers are compared by their accuracy."""
