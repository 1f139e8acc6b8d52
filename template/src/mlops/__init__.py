"""The machinery around the team's model: the same in every repository."""
