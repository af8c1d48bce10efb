"""Evaluate on the sets' test sides: ``python eval.py --exp_dir exp/x``."""

from asteroid_joint.engine.recipe import eval_main

if __name__ == "__main__":
    eval_main(__file__)
