"""`python -m bench VERB …`, or `python -m bench task=… entry=… [-m]` through Hydra's own main and launchers."""

from bench.verbs.main import main

if __name__ == "__main__":
    main()
