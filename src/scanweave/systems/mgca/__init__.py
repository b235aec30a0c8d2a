"""MGCA: an encoder of films, and one of reports, learnt from pairs of both at three grains."""
