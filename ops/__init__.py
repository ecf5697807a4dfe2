"""What operators use: the command, configuration, the provider simulator, the benchmark."""
