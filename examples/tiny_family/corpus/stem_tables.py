"""Formulas, elements and processes for the science tasks."""

# ruff: noqa: E501 (a table reads best with one row on a line)

from __future__ import annotations

FORMULAS = (
    ("force", "mass times acceleration", "a mass of {a} kg", "an acceleration of {b} m/s2", "N"),
    ("voltage", "current times resistance", "a current of {a} A", "a resistance of {b} ohm", "V"),
    ("electric power", "voltage times current", "a voltage of {a} V", "a current of {b} A", "W"),
    ("work", "force times distance", "a force of {a} N", "a distance of {b} m", "J"),
    ("momentum", "mass times velocity", "a mass of {a} kg", "a velocity of {b} m/s", "kg m/s"),
    ("mass", "density times volume", "a density of {a} g/cm3", "a volume of {b} cm3", "g"),
    ("charge", "current times time", "a current of {a} A", "a time of {b} s", "C"),
    ("wave speed", "frequency times wavelength", "a frequency of {a} Hz", "a wavelength of {b} m", "m/s"),
)

ELEMENTS = (
    ("hydrogen", "H", 1, "gas"), ("helium", "He", 2, "gas"), ("lithium", "Li", 3, "solid"), ("carbon", "C", 6, "solid"),
    ("nitrogen", "N", 7, "gas"), ("oxygen", "O", 8, "gas"), ("neon", "Ne", 10, "gas"), ("sodium", "Na", 11, "solid"),
    ("magnesium", "Mg", 12, "solid"), ("aluminium", "Al", 13, "solid"), ("silicon", "Si", 14, "solid"),
    ("sulfur", "S", 16, "solid"), ("chlorine", "Cl", 17, "gas"), ("argon", "Ar", 18, "gas"), ("calcium", "Ca", 20, "solid"),
    ("iron", "Fe", 26, "solid"), ("nickel", "Ni", 28, "solid"), ("copper", "Cu", 29, "solid"), ("zinc", "Zn", 30, "solid"),
    ("silver", "Ag", 47, "solid"), ("tin", "Sn", 50, "solid"), ("gold", "Au", 79, "solid"), ("mercury", "Hg", 80, "liquid"),
    ("lead", "Pb", 82, "solid"),
)  # fmt: skip

PROCESSES = (
    ("the water cycle", ("Water evaporates from the sea.", "Vapour rises and forms clouds.", "Rain falls on the land.", "Rivers carry the water back.")),
    ("digestion", ("The teeth chew the food.", "The stomach mixes it with acid.", "The small intestine takes up nutrients.", "The large intestine takes up water.")),
    ("making paper", ("Wood is cut into chips.", "The chips are cooked to pulp.", "The pulp is pressed flat.", "The sheets are dried.")),
    ("the life of a butterfly", ("A butterfly lays an egg.", "A caterpillar hatches.", "It turns into a pupa.", "A new butterfly comes out.")),
    ("the growth of a bean", ("The seed takes up water.", "A root grows down.", "A shoot grows up.", "Leaves open in the light.")),
    ("the scientific method", ("Ask a question.", "Form a hypothesis.", "Run an experiment.", "Draw a conclusion.")),
    ("making glass", ("Sand is mixed with soda and lime.", "The mixture is melted.", "The melt is shaped.", "The glass is cooled slowly.")),
    ("a power station", ("Fuel heats water.", "Steam turns a turbine.", "The turbine drives a generator.", "The generator sends out current.")),
)  # fmt: skip
