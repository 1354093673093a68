"""What was done: the kind of each event, where no column `kind` says it alone.

Times of steps are read first (`step_times`). `kind_columns` then finds kinds in columns of other
names or of yes and no, and asks the others: acts that came to an end, outcomes that undid them,
and acts that mean something else beside others.
"""
