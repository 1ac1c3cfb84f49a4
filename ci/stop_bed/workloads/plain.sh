# One process.
lead
