"""Where a difference comes from: traces taken apart, predictions, sentences."""
