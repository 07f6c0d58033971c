"""Parts of networks: attention scores, layers, and the floors that have learned nothing."""
