"""`bakeoff doctor`: whether the environment, the workspace and the machine are fit for a run."""
