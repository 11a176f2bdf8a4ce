"""What a user looks up and begins with: the reference of all fields, and recipes to start from.

Everything here is made of the code: names, types, defaults and limits of the declarations, words
of the docstrings. `docs/reference.md`, `lavaseg help` and the schema for editors show the same.
"""
