"""Label voices if wanted, then check the data: ``python local/prepare.py --data_dir ...``."""

from asteroid_joint.engine.recipe import prepare_main

if __name__ == "__main__":
    prepare_main(__file__)
