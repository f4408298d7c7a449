"""What a reader sees: figures, tables, claims, drift reports and the book."""
