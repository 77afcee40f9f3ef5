"""What commands print with: a console for a stream, plain tables, safe text."""
