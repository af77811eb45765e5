"""Stands in for Playwright in the tests of the host: its browser is a program that sleeps."""
