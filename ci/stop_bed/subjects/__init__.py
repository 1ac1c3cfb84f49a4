"""The managers that are held against each other."""
