"""What is asked: variants, presets, RPCs and loads, as values."""
