"""The same numbers from a model, sooner: layers fused for the CPU."""
