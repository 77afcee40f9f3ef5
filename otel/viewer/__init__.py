"""The web page that the embedded backend serves, and the exported file made from the same modules."""
