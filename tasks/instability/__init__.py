"""Small proxies for the instabilities of large transformers."""
