"""`lab check`: what a server's spans say against what the wire says."""
