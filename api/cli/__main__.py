"""`python -m api.cli`, which is what `tallystick` runs."""

from api.cli import main

main()
