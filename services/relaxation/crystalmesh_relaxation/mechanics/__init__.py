"""How a crystal answers to being squeezed, strained and shaken, found by evaluating it again and again."""
