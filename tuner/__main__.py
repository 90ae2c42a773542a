"""`python -m tuner` is `tuner`, for an environment whose commands are not on the path."""

from tuner.cli import main

main()
