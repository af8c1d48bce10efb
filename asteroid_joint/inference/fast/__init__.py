"""The same numbers from a model, sooner: fused layers, items of a batch on several cores."""
