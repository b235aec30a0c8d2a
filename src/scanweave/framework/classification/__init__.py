"""Shared by all systems that tell classes or findings of studies: question, answers, loss, thresholds, evaluation."""
