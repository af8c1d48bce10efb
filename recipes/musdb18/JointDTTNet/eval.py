"""Evaluate on MUSDB18: ``python eval.py --exp_dir exp/x --native --museval``."""

from asteroid_joint.engine.recipe import eval_main

if __name__ == "__main__":
    eval_main(__file__)
