"""Find the kind of each event where no column `kind` states it.

Times of steps are read first (`step_times`). `kind_columns` then finds kinds in columns of other
names or of yes and no, and calls the other modules: for events that ended, outcomes that canceled
them, and kinds whose meaning depends on the other kinds.
"""
