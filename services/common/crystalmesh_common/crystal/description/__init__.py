"""What can be said about a crystal without a model: facts, and the texts that people and towers read."""

from crystalmesh_common.crystal.description.facts import Description, describe
from crystalmesh_common.crystal.description.plain_words import target_of_words
from crystalmesh_common.crystal.description.property_text import Range, describe_properties, describe_target
from crystalmesh_common.crystal.description.structure_text import describe_structure

__all__ = [
    "Description",
    "Range",
    "describe",
    "describe_properties",
    "describe_structure",
    "describe_target",
    "target_of_words",
]
