"""The shell: HTTP, command line, settings, clock and background loops around `ledger_service` and `risk`."""
