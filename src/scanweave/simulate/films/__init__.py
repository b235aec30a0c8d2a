"""Chest films whose truth is known: findings, marks that go with them, and sites."""

from scanweave.simulate.films.cohort import simulate_films
from scanweave.simulate.films.film import Film, simulate_film
from scanweave.simulate.films.settings import FilmSettings

__all__ = ["Film", "FilmSettings", "simulate_film", "simulate_films"]
