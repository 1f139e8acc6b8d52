"""Releases: a strategy is a plan, a target carries it out, the controller judges and goes on."""
