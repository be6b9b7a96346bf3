"""The mesh as tools for language models, over the Model Context Protocol: `crystalmesh mcp`.

It needs the extra `mcp`; nothing outside this package imports it.
"""
