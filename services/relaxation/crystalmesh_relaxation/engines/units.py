"""Units that potentials do not agree on."""

EV_PER_CUBIC_ANGSTROM_IN_GPA = 160.21766208
