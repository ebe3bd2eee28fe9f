"""Cases in files, for whoever implements the formats."""
