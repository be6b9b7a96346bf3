"""The starter catalog: prototypes decorated by ionic substitution, relaxed and labelled by the mesh."""
