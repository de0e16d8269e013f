"""The supply chain: packages of every ecosystem that an ML system uses, advisories, images and hosts."""
