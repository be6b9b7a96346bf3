"""A crystal within limits, word by word: three lengths, three angles, then element and site of each atom."""

from __future__ import annotations

from crystalmesh_common.crystal.composition_limits import CompositionLimits
from crystalmesh_common.crystal.structure import cell_from_parameters
from crystalmesh_common.runtime.errors import ContradictoryTargetError
from crystalmesh_generation.engines.engine import Rules
from crystalmesh_generation.grammar.cells import RoomyCells, third_angles
from crystalmesh_generation.grammar.compositions import AtomsSoFar
from crystalmesh_generation.grammar.places import FreePlaces
from crystalmesh_generation.grammar.vocabulary import BoolArray, Numeral, Vocabulary
from crystalmesh_generation.language.alx import MIN_ANGLE_DEGREES


class CrystalText:
    """A `TextState` of ALX and the `</s>` after it.

    Where a distance between atoms is demanded, each word leaves room for the atoms that are still due.
    """

    def __init__(self, vocabulary: Vocabulary, rules: Rules, limits: CompositionLimits) -> None:
        self.finished = False
        self._vocabulary = vocabulary
        self._atoms = AtomsSoFar(limits, rules.max_atoms, frozenset(vocabulary.numbers.values()))
        self._distance = rules.min_distance_angstrom
        self._cells: RoomyCells | None = None
        if self._distance > 0:
            self._cells = RoomyCells(self._distance, self._atoms.least_rest)
            if not self._cells.lengths([]).any():
                raise ContradictoryTargetError("no cell has room for atoms that far apart", field="target")
        self._lengths: list[float] = []
        self._angles: list[int] = []
        self._places: FreePlaces | None = None
        self._site: list[int] | None = None  # of the atom that is being written, in hundredths
        self._row = self._next_row()

    def mask(self) -> BoolArray:
        return self._row

    def advance(self, word: int) -> None:
        if not self._row[word]:
            raise ValueError(f"word {word} may not follow")
        if word == self._vocabulary.end:
            self.finished = True
            return
        self._take(word)
        self._row = self._next_row()

    def _take(self, word: int) -> None:
        places = self._vocabulary.places
        if len(self._lengths) < 3:
            self._lengths.append(places[Numeral.LENGTH][word] / 10)
        elif len(self._angles) < 3:
            self._angles.append(places[Numeral.ANGLE][word] + MIN_ANGLE_DEGREES)
            if self._cells is not None and len(self._angles) == 3:
                cell = cell_from_parameters(self._lengths, self._angles)
                self._places = FreePlaces(cell, self._distance)
        elif self._site is None:
            self._atoms.add(self._vocabulary.numbers[word])
            self._site = []
        else:
            self._site.append(places[Numeral.COORDINATE][word])
            if len(self._site) == 3:
                if self._places is not None:
                    self._places.take(*self._site)
                self._site = None

    def _next_row(self) -> BoolArray:
        if len(self._lengths) < 3:
            return self._length_row()
        if len(self._angles) < 3:
            return self._angle_row()
        if self._site is None:
            return self._element_row()
        return self._coordinate_row(self._site)

    def _length_row(self) -> BoolArray:
        if self._cells is None:
            return self._vocabulary.any_length
        return self._vocabulary.some(Numeral.LENGTH, self._cells.lengths(self._lengths))

    def _angle_row(self) -> BoolArray:
        if self._cells is not None:
            return self._vocabulary.some(Numeral.ANGLE, self._cells.angles(self._lengths, self._angles))
        if len(self._angles) < 2:
            return self._vocabulary.any_angle
        return self._vocabulary.some(Numeral.ANGLE, third_angles(*self._angles))

    def _element_row(self) -> BoolArray:
        room = self._atoms.max_atoms if self._places is None else self._places.room
        return self._vocabulary.elements(self._atoms.allowed(room), or_end=self._atoms.least_rest == 0)

    def _coordinate_row(self, site: list[int]) -> BoolArray:
        if self._places is None:
            return self._vocabulary.any_coordinate
        free = (self._places.x, self._places.y, self._places.z)[len(site)]
        return self._vocabulary.some(Numeral.COORDINATE, free(*site))
