"""Where immutable objects lie: the contract, and an object storage behind it with a read cache in front."""
