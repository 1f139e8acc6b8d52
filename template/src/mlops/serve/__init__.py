"""The model where it answers: online, in batches, or at the edge."""
