"""Scores of synthetic PET: image quality, uptake, and inference over people.

`quality` compares volumes, `uptake` compares what a reader of PET measures in
them, `inference` says how sure a comparison over these people can be.
"""
