"""Loop, checkpoints, run folder and tracking; knows no system.

`settings`, `schedule` and `run` load without torch, so that a run can be listed in no time.
"""
