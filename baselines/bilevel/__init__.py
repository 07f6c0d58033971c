"""Methods of bilevel optimisation (slot `method` of `bilevel/*`): iterators over (upper variable, penalty sigma or None)."""
