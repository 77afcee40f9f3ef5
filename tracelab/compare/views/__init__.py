"""A comparison as a person sees it: screen, page, plots."""
