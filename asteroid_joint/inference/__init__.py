"""From a trained model and a song to stems, pitch, notes and files."""
