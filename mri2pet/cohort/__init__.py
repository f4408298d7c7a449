"""Who is studied: phantoms, the store of prepared volumes, regions and splits."""
