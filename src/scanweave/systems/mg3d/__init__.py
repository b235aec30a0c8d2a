"""MG-3D: an encoder of CT, learnt from volumes and their reports; each helps to fill in what is hidden of the other."""
