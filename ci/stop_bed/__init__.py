"""The test bed for stopping: workloads that are hard to end, managers that say they ended them, and a count of what lives."""
