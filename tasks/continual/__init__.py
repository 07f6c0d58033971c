"""Several tasks in a row under one head: what a network keeps of the earlier ones."""
