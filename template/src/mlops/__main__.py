"""``python -m mlops``."""

from .cli import main

main()
