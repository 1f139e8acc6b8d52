"""Keeps a fleet of generated repositories current: status, diff, update, rollout, assess, adopt."""
