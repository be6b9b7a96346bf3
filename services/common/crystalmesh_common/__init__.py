"""What every service and client of CrystalMesh shares: crystals and their codecs, and the runtime."""
