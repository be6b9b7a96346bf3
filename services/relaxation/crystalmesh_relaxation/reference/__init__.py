"""The hull that a laptop scores against: every entry relaxed by the potential that scores."""
