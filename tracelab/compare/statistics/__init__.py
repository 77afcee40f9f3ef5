"""What samples say: quantiles, intervals, verdicts. Pure."""
