"""`python -m services.cli` is `lab`, for children that need no script on the path."""

from services.cli.main import main

main()
