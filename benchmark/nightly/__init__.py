"""The organiser's night: plan → run → score → publish → report.

`gather` reads the state of the workplace, `plan` says what is due (a pure function), `night` carries it out with the `hands` that
it is given, `failures` and `quota` decide what a failure and an attempt are, `report` says in the morning what happened.
"""
