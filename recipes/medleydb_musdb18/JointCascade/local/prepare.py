"""Count and check the data of every side: ``python local/prepare.py --data_dir ...``."""

from asteroid_joint.engine.recipe import prepare_main

if __name__ == "__main__":
    prepare_main(__file__)
