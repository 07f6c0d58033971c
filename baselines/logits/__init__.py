"""Parts between a language model's head and its softmax."""
