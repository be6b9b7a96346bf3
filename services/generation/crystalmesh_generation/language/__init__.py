"""What the language model reads and writes: crystals as text, transitions, prompts, and its words."""
