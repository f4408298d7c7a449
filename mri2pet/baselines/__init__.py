"""Methods to compare with: controls that look at nothing, and other generators."""
