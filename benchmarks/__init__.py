"""What this machine reaches, one module per promise, each figure beside the limit measured bare in the same run."""
