"""A made-up export of a payroll system, as untidy as real ones, and what must be read from it.

The generator writes each person twice: once as the export has it, once as the truth in plain
Python, so that what dbt reads can be compared without its help.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

HEADER = [
    *("Employee ID", "Last, First", "DOB", "Most Recent Hire Date", "Term Date", "Pay Rate"),
    *("Pay Type", "Std FTE", "Grade", "Dept. Name", "Gender", "2025 Rating", "Country"),
    *("Cost Ctr", "Mgr ID", "Badge Colour", "T-Shirt"),
]
MAPPING = """\
their_column,our_column,format
Employee ID,employee_id,
"Last, First",,
DOB,birth_date,MM/DD/YYYY | YYYY-MM-DD
Most Recent Hire Date,hire_date,MM/DD/YYYY | YYYY-MM-DD
Term Date,termination_date,MM/DD/YYYY | YYYY-MM-DD
Pay Rate,annual_salary,"1,234.56"
Pay Rate,hourly_rate,"1,234.56"
Pay Type,pay_type,H=hourly; S=salaried
Std FTE,fte,
Grade,job_level,IC1=1; IC2=2; M1=3; D1=4; VP=5
Dept. Name,department,R&D=Research; Ops=Operations
Gender,gender,F=female; M=male; X=
2025 Rating,rating,
Country,country,
Cost Ctr,cost_centre,
Mgr ID,manager_id,
"""
GRADES = (
    ("IC1", 1, 56000),
    ("IC2", 2, 80000),
    ("M1", 3, 120000),
    ("D1", 4, 160000),
    ("VP", 5, 275000),
)
START = date(2026, 1, 1)


@dataclass
class Messy:
    """What is in the export.

    Attributes:
        people: What must be read of each person, by id.
        reasons: Rows that must be rejected, by reason.
        rejected_rows: Numbers of those rows, from 1 below the header.
    """

    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    rejected_rows: set[int] = field(default_factory=set)

    def employed(self) -> list[dict[str, Any]]:
        """Return who is employed on January 1, 2026."""
        left = [(p, p["termination_date"]) for p in self.people.values()]
        return [person for person, day in left if day is None or day >= START]


def _day(day: date, rng: random.Random) -> str:
    style = rng.randrange(4)
    if style == 0:
        return day.isoformat()
    if style == 1:
        return f"{day.month}/{day.day}/{day.year}"
    if style == 2:
        return day.strftime("%m/%d/%Y") + " 12:00:00 AM"
    return day.strftime(" %m/%d/%Y ")


def _money(amount: Decimal, rng: random.Random) -> str:
    style = rng.randrange(4)
    if style == 0:
        return f"${amount:,.2f}"
    if style == 1:
        return f"{amount:.2f}"
    return f"{amount:,.2f} USD" if style == 2 else f"$ {amount:,.2f}"


def _person(number: int, rng: random.Random) -> tuple[list[str], dict[str, Any]]:
    grade, level, low = GRADES[rng.choices(range(5), (56, 25, 12, 5.5, 1.5))[0]]
    hired = date(2025, 12, 31) - timedelta(days=rng.randrange(6000))
    born = hired - timedelta(days=365 * 18 + rng.randrange(365 * 40))
    left = None if rng.random() > 0.06 else hired + timedelta(days=rng.randrange(30, 6000))
    if left is not None and left >= START:
        left = None
    is_hourly = level == 1 and rng.random() < 0.4
    fte = Decimal(rng.choice(["1", "1", "1", "0.8", "0.5"])) if level < 4 else Decimal(1)
    if is_hourly:
        rate = Decimal(rng.randrange(2200, 4500)) / 100
        pay = (rate * 2080 * fte).quantize(Decimal("0.01"), ROUND_HALF_UP)
    else:
        rate = None
        pay = Decimal(rng.randrange(low * 100, low * 145)) / 100
    person = {
        "employee_id": f"{number:06d}",
        "birth_date": born,
        "hire_date": hired,
        "termination_date": left,
        "annual_salary": pay,
        "job_level": level,
        "department": rng.choice(["Research", "Operations", "Sales", 'Sales "East", Retail', None]),
        "gender": rng.choice(["female", "male", None]),
        "rating": rng.choice(["1", "2", "3", "4", "5", None]),
        "fte": fte,
        "pay_type": "hourly" if is_hourly else "salaried",
        "hourly_rate": rate,
        "country": rng.choice(["US", "US", "CA"]),
        "cost_centre": f"CC-{rng.randrange(100, 120)}",
        "manager_id": f"{rng.randrange(1, 200):06d}" if rng.random() > 0.01 else None,
    }
    theirs = {"Research": "r&d", "Operations": "Ops", None: "  "}
    row = [
        person["employee_id"],
        f"Doe, Jo {number}",
        _day(born, rng),
        _day(hired, rng),
        _day(left, rng) if left else "",
        f"${rate:.2f}" if is_hourly else _money(pay, rng),
        "h" if is_hourly else "S",
        rng.choice([f"{fte}", f"{fte * 100:.0f}%", f"{fte * 100:.0f} %"]),
        grade,
        theirs.get(person["department"], person["department"]),
        {"female": "F", "male": "M", None: "x"}[person["gender"]],
        person["rating"] or "",
        person["country"],
        person["cost_centre"],
        person["manager_id"] or "",
        rng.choice(["red", "blue"]),
        rng.choice(["S", "M", "L"]),
    ]
    return row, person


# What is spoilt in a row that was right, and what the reject must say.
SPOILT = (
    ("DOB", "31/12/1980", "unreadable birth_date"),
    ("DOB", "2/30/1980", "unreadable birth_date"),
    ("DOB", "1/5/80", "unreadable birth_date"),
    ("Most Recent Hire Date", "", "missing hire_date"),
    ("Most Recent Hire Date", "Jan 5th", "unreadable hire_date"),
    ("Term Date", "retired", "unreadable termination_date"),
    ("Pay Rate", "$7,25.00", "unreadable annual_salary"),
    ("Pay Rate", "n/a", "unreadable annual_salary"),
    ("Pay Rate", "", "missing annual_salary"),
    ("Pay Rate", "$31.50", "absurdly low annual_salary"),
    ("Pay Rate", "CAD 81,000.00", "second currency"),
    ("Pay Rate", "€ 81,000.00", "second currency"),
    ("Pay Type", "C", "unknown pay_type"),
    ("Std FTE", "80", "unreadable fte"),
    ("Grade", "IC9", "unknown job_level"),
    ("Employee ID", "", "missing employee_id"),
)


def write_messy_census(path: Path, people: int = 1300, seed: int = 7) -> Messy:
    """Write an export of so many people, spoilt rows on top, and return what is in it."""
    rng = random.Random(seed)
    messy = Messy()
    lines: list[tuple[list[str], str | None]] = []
    for number in range(1, people + 1):
        row, person = _person(number, rng)
        lines.append((row, None))
        messy.people[person["employee_id"]] = person
    for offset, (column, value, reason) in enumerate(SPOILT):
        row, person = _person(people + 100 + offset, rng)
        while person["pay_type"] == "hourly":
            row, person = _person(people + 100 + offset, rng)
        row[HEADER.index(column)] = value
        lines.append((row, reason))
    rng.shuffle(lines)
    # The same line twice, a person twice with other figures, and what exports end with.
    lines.append((list(lines[0][0]) if lines[0][1] is None else list(lines[1][0]), "repeated row"))
    twin, _ = _person(people + 200, rng)
    lines += [
        (twin, "duplicate employee_id"),
        ([*twin[:8], "VP", *twin[9:]], "duplicate employee_id"),
    ]
    total = ["Total: 1,300"] + [""] * (len(HEADER) - 1)
    lines.append((total, "missing birth_date"))
    messy.reasons.update(reason for _, reason in lines if reason is not None)
    messy.reasons.update(
        ["missing hire_date", "missing annual_salary"]
    )  # of the total line as well
    messy.rejected_rows = {n for n, (_, reason) in enumerate(lines, start=1) if reason is not None}
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        writer.writerows(row for row, _ in lines)
    return messy
