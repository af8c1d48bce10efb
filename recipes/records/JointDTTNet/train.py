"""Train on records: ``python train.py --exp_dir exp/x --data_dir ... [--key value]``."""

from asteroid_joint.engine.recipe import train_main

if __name__ == "__main__":
    train_main(__file__)
