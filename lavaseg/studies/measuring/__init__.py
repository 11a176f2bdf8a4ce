"""The functions of the measures (`lavaseg/studies/measures.py`): a run and options to rows."""
