"""The tasks that come with radbench: one folder each."""
