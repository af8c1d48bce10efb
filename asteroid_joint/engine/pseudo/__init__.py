"""Labels that a trained model gives to single-labelled sets."""
