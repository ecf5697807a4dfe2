"""The commands of ``sluice`` that are small; the simulator and the benchmark have folders."""
