"""The rules of one simulated year, written a second time and differently.

The dbt models work set by set; this module works person by person with exact fractions, finds
the calibration factor by bisection and prorates pay period by period. Both must agree on every
row. Figures are those of the seeds and of the defaults in ``dbt_project.yml``.
"""

import hashlib
import math
from calendar import isleap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

STREAMS = {
    "termination": 1, "departure_day": 2, "reduction": 3, "promotion": 4, "promotion_raise": 5,
    "raise_month": 6, "hire_day": 7, "hire_age": 8, "hire_birthday": 9, "hire_pay": 10,
    "hire_department": 11, "hire_termination": 12, "hire_departure_day": 13, "rating": 14,
    "hire_gender": 15, "retirement": 16, "involuntary": 17, "hire_fte": 18,
}  # fmt: skip
BANDS = {
    1: (56_000, 80_000),
    2: (80_000, 120_000),
    3: (120_000, 160_000),
    4: (160_000, 275_000),
    5: (275_000, 500_000),
}
AGE_BANDS = [
    (25, "0.7", "1.6"),
    (35, "1.3", "1.4"),
    (45, "1.0", "1.1"),
    (55, "1.6", "0.7"),
    (65, "1.0", "0.3"),
    (999, "1.2", "0.1"),
]
TENURE_BANDS = [
    (2, "1.8", "0.5"),
    (5, "0.6", "1.5"),
    (10, "0.5", "1.8"),
    (20, "0.4", "0.8"),
    (999, "0.3", "0.2"),
]
HIRE_AGES = [(22, 5), (25, 15), (28, 20), (32, 25), (35, 15), (40, 10), (45, 8), (50, 2)]
LEVEL_HIRE_AGES = {
    1: [(21, 15), (23, 25), (26, 25), (30, 15), (36, 10), (45, 10)],
    2: [(25, 15), (28, 25), (32, 25), (37, 15), (43, 12), (50, 8)],
    3: [(30, 20), (34, 25), (38, 25), (43, 18), (50, 12)],
    4: [(34, 15), (39, 30), (44, 30), (50, 17), (56, 8)],
    5: [(40, 20), (46, 35), (52, 30), (57, 15)],
}
RETIREMENT = [(55, 0.0), (60, 0.01), (62, 0.04), (65, 0.1), (67, 0.25), (70, 0.35), (999, 0.5)]
HIRE_PERCENTILE = {1: "0.25", 2: "0.30", 3: "0.35", 4: "0.40", 5: "0.45"}
HIRE_MARKET = {1: "1.02", 2: "1.00", 3: "0.98", 4: "1.05", 5: "1.10"}
RAISE_MONTHS = [28, 3, 7, 18, 4, 5, 23, 3, 4, 3, 1, 1]
RATINGS = {"developing": 12, "outstanding": 10, "solid": 50, "strong": 25, "unsatisfactory": 3}
POSITIONS = ("below_minimum", "lower_third", "middle_third", "upper_third", "above_maximum")
MATRIX = {
    "outstanding": ("2.0", "1.8", "1.5", "1.25", "1.0"),
    "strong": ("1.6", "1.4", "1.2", "1.0", "0.75"),
    "solid": ("1.3", "1.15", "1.0", "0.8", "0.5"),
    "developing": ("0.7", "0.6", "0.5", "0.25", "0"),
    "unsatisfactory": ("0", "0", "0", "0", "0"),
}
MERIT = {1: 0.035, 2: 0.040, 3: 0.045, 4: 0.050, 5: 0.055}


@dataclass(frozen=True)
class Levers:
    """Levers and settings; merit is that of ``MERIT`` unless ``merit_base`` is given."""

    cola_rate: float = 0.02
    promotion_raise: float = 0.20
    promotion_rate_multiplier: float = 1.0
    new_hire_salary_adjustment: float = 1.0
    target_growth_rate: float = 0.03
    total_termination_rate: float = 0.12
    new_hire_termination_rate: float = 0.25
    merit_base: float | None = None
    merit_budget: float | None = None
    raise_timing: str = "distributed"
    structure_adjustment_rate: float = 0.0
    minimum_adjustment_share: float = 0.0
    equity_pool: float = 0.0
    hiring_level_mix: str = "stayers"
    termination_rates: str = "cohort"
    raise_month: str = "yearly"
    raise_cutoff_month: int | None = None
    merit_matrix: str = "off"
    raise_band_cap: str = "off"
    retirement: str = "off"
    involuntary_share: float | None = None
    time_to_fill_days: int | None = None
    new_hire_ages: str = "company"
    new_hire_fte: str = "full"

    def band(self, level: int, year: int, start: int = 2026) -> tuple[Decimal, Decimal, Decimal]:
        """Return minimum, midpoint and maximum of a level in a year, USD."""
        low, high = (Decimal(pay) for pay in BANDS[level])
        band = (low, (low + high) / 2, high)
        for _ in range(start, year):
            move = 1 + rate(self.structure_adjustment_rate)
            band = tuple(cents(Fraction(pay) * move) for pay in band)
        return band

    def exit_rate(self) -> float:
        """Return the chance of hires to leave in their calendar year, and again in the next."""
        if self.termination_rates == "cohort":
            return self.new_hire_termination_rate
        low, high = 0.0, 1.0  # F = h + (1 - h) h / 2 grows with h
        for _ in range(100):
            h = (low + high) / 2
            is_low = h + (1 - h) * h / 2 < self.new_hire_termination_rate
            low, high = (h, high) if is_low else (low, h)
        return low

    def merit(self, level: int) -> float:
        """Return the merit of a level before scaling."""
        return MERIT[level] if self.merit_base is None else self.merit_base


@dataclass
class Person:
    """One person of the year: who they are, and what the year did to them."""

    employee_id: str
    birth_date: date
    hire_date: date
    job_level: int
    pay: Decimal
    department: str | None
    known_last_day: date | None = None
    fte: Decimal = Decimal(1)
    gender: str | None = None
    rating: str | None = None
    lump_sum: Decimal = Decimal(0)
    opening_pay: Decimal | None = None
    termination_date: date | None = None
    status: str = "continuous_active"
    changes: list[tuple[date, Decimal]] = field(default_factory=list)
    promotion_date: date | None = None
    raise_date: date | None = None

    def draw(self, stream: str, year: int, seed: int = 42) -> float:
        """Return the person's uniform number of a stream and year."""
        key = hashlib.md5(self.employee_id.encode()).hexdigest()
        salt = hashlib.md5(f"{seed}/{STREAMS[stream]}/{year}".encode()).hexdigest()
        high, low = (2 * int(salt[:7], 16) + 1), (2 * int(salt[7:14], 16) + 1)
        bits = (int(key[:8], 16) * high + int(key[8:16], 16) * low + int(salt[14:21], 16)) >> 16
        bits %= 2**32
        for _ in range(3):
            bits = bits * 73244475 % 2**32 ^ 3039394381
            bits = (bits + (bits >> 16)) % 2**32
        return bits * 73244475 % 2**32 / 2**32

    def employed_on(self, day: date) -> bool:
        """Return whether the day is on or before the last day of employment."""
        return self.termination_date is None or self.termination_date >= day

    def full_years(self, since: date, year: int) -> int:
        """Return the full years from a date to January 1 of the year."""
        return year - since.year - (1 if (since.month, since.day) > (1, 1) else 0)

    def multipliers(self, year: int) -> tuple[Fraction, Fraction]:
        """Return the multipliers of leaving and of promotion."""
        age, tenure = self.full_years(self.birth_date, year), self.full_years(self.hire_date, year)
        leave_age, promote_age = next((a, b) for top, a, b in AGE_BANDS if age < top)
        leave_tenure, promote_tenure = next((a, b) for top, a, b in TENURE_BANDS if tenure < top)
        leave_level = max(Fraction(4, 10), 1 - Fraction(self.job_level - 1, 10))
        promote_level = max(Fraction(0), 1 - Fraction(15 * (self.job_level - 1), 100))
        return (
            Fraction(leave_age) * Fraction(leave_tenure) * leave_level,
            Fraction(promote_age) * Fraction(promote_tenure) * promote_level,
        )


def cents(amount: Fraction | Decimal) -> Decimal:
    """Round half-up to cents."""
    exact = Fraction(amount)
    return Decimal(math.floor(exact * 100 + Fraction(1, 2))) / 100


def rate(value: float) -> Fraction:
    """Return a rate with the ten decimals that money is multiplied with."""
    return Fraction(round(value * 10**10), 10**10)


def calibration_factor(multipliers: list[Fraction], wanted: float) -> float:
    """Find k by bisection such that the mean of min(1, k x multiplier) is wanted."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        mean = sum(min(1.0, middle * float(m)) for m in multipliers) / len(multipliers)
        low, high = (middle, high) if mean < wanted else (low, middle)
    return (low + high) / 2


def simulate_year(
    opening: list[Person],
    year: int,
    levers: Levers,
    *,
    joiners: Sequence[Person] = (),
    departments: Mapping[str, int] | None = None,
    former: Sequence[tuple[str, int, date]] = (),
    census_ftes: Sequence[tuple[int, Decimal]] = (),
) -> list[Person]:
    """Return everyone employed at any time of the year, changed by the year's events.

    Args:
        opening: Who is employed on January 1.
        year: Calendar year.
        levers: Levers of the year.
        joiners: Accepted offers that start in the year.
        departments: People of the census by department; of the opening when left out.
        former: Id, level and last day of who left last year, reductions apart.
        census_ftes: Level and share of a full-time job of everyone in the census.
    """
    days = 366 if isleap(year) else 365
    new_year, last_day = date(year, 1, 1), date(year, 12, 31)
    for person in opening:
        person.opening_pay = person.pay

    if levers.retirement == "seed":
        _retire(opening, year)
    _leave_by_hazard(opening, joiners, year, levers)
    for person in [*opening, *joiners]:
        if person.known_last_day is not None and person.known_last_day <= last_day:
            person.termination_date, person.status = person.known_last_day, "known_termination"
    for person in joiners:
        person.status = person.status if person.termination_date else "new_hire_active"

    stayers = [p for p in opening if p.termination_date is None]
    adjustments = _adjustments(opening, year, levers)
    target = math.floor(
        Fraction(str(levers.target_growth_rate)) * len(opening) + len(opening) + Fraction(1, 2)
    )
    net = target - len(stayers) - sum(p.termination_date is None for p in joiners)
    if net < 0:
        for person in sorted(
            stayers,
            key=lambda p: (p.known_last_day is not None, p.draw("reduction", year), p.employee_id),
        )[:-net]:
            _leave(person, year, "reduction")
    hires = math.ceil(round(net / (1 - levers.exit_rate()), 6)) if net > 0 else 0
    if departments is None:
        departments = Counter(p.department for p in opening if p.department)
    promoted = _promoted(opening, year, levers)
    weights = Counter(p.job_level for p in stayers)
    if levers.hiring_level_mix == "positions":
        weights = _vacancies(opening, stayers, promoted, target)
    leavers = [
        (p.employee_id, _last_level(p, promoted), p.termination_date)
        for p in opening
        if p.termination_date and p.status != "reduction"
    ]
    vacancies = _vacancy_days([*former, *leavers], year, levers)
    hired = _hire(weights, hires, hires - max(net, 0), departments, vacancies, year, levers)
    if levers.new_hire_fte == "census":
        _work_part_time(hired, census_ftes, year)
    hired += joiners
    _promote_and_raise(opening, year, levers, promoted, adjustments)
    for person in hired:
        person.opening_pay = None
    for person in opening + hired:
        first = max(new_year, person.hire_date) if person.opening_pay is None else new_year
        person.paid = (
            _paid(person, first, person.termination_date or last_day, days) + person.lump_sum
        )
    return opening + hired


def _leave_by_hazard(
    opening: list[Person], joiners: Sequence[Person], year: int, levers: Levers
) -> None:
    total = levers.total_termination_rate
    if levers.termination_rates == "turnover":
        total = _experienced_rate(opening, joiners, year, levers)
    for is_recent, wanted in (
        (True, levers.exit_rate()),
        (False, total),
    ):
        cohort = [
            p
            for p in opening
            if (p.hire_date >= date(year - 1, 1, 1)) == is_recent
            and p.known_last_day is None
            and p.status != "retirement"
        ]
        if cohort:
            factor = calibration_factor([p.multipliers(year)[0] for p in cohort], wanted)
            for person in cohort:
                if person.draw("termination", year) < min(
                    1.0, factor * float(person.multipliers(year)[0])
                ):
                    is_dismissed = _is_dismissed(person, year, levers)
                    _leave(person, year, "dismissal" if is_dismissed else "experienced_termination")


def _experienced_rate(
    opening: list[Person], joiners: Sequence[Person], year: int, levers: Levers
) -> float:
    """Find by bisection the rate of people hired before last year that gives the turnover."""
    last_day = date(year, 12, 31)
    known = sum(p.known_last_day is not None and p.known_last_day <= last_day for p in opening)
    known += sum(p.status == "retirement" for p in opening)
    exposed = [p for p in opening if p.known_last_day is None and p.status != "retirement"]
    recent = sum(p.hire_date >= date(year - 1, 1, 1) for p in exposed)
    leaving = sum(p.known_last_day is not None and p.known_last_day <= last_day for p in joiners)
    target = math.floor(
        len(opening) * (1 + Fraction(str(levers.target_growth_rate))) + Fraction(1, 2)
    )
    h = levers.exit_rate()

    def turnover(experienced: float) -> float:
        leavers = known + h * recent + experienced * (len(exposed) - recent)
        net = target - (len(opening) - leavers) - (len(joiners) - leaving)
        leavers += leaving + (net / (1 - h) - net if net > 0 else 0)
        return leavers / ((len(opening) + target) / 2)

    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        is_low = turnover(middle) < levers.total_termination_rate
        low, high = (middle, high) if is_low else (low, middle)
    return low


def _retire(opening: list[Person], year: int) -> None:
    for person in opening:
        age = person.full_years(person.birth_date, year)
        chance = next(chance for below, chance in RETIREMENT if age < below)
        if person.known_last_day is None and person.draw("retirement", year) < chance:
            _leave(person, year, "retirement")


def _is_dismissed(person: Person, year: int, levers: Levers) -> bool:
    share = levers.involuntary_share
    return share is not None and person.draw("involuntary", year) < share


def _last_level(person: Person, promoted: set[str]) -> int:
    return person.job_level + (person.employee_id in promoted)


def _vacancy_days(
    leavers: Sequence[tuple[str, int, date]], year: int, levers: Levers
) -> dict[int, list[date]]:
    """Return by level the days of the year on which positions of leavers are filled."""
    found: dict[int, list[date]] = {level: [] for level in BANDS}
    if levers.time_to_fill_days is not None:
        wait = timedelta(levers.time_to_fill_days + 1)
        for _, level, last_day in leavers:
            if (last_day + wait).year == year:
                found[level].append(last_day + wait)
    return {level: sorted(days) for level, days in found.items()}


def _leave(person: Person, year: int, status: str) -> None:
    days = 366 if isleap(year) else 365
    person.termination_date = date(year, 1, 1) + timedelta(
        int(person.draw("departure_day", year) * days)
    )
    person.status = status


def _vacancies(
    opening: list[Person], stayers: list[Person], promoted: set[str], target: int
) -> Counter[int]:
    """Return by level what is missing to the level's share of the opening headcount."""
    filled = Counter(p.job_level + (p.employee_id in promoted) for p in stayers)
    before = Counter(p.job_level for p in opening)
    return Counter({lv: max(0, target * before[lv] - len(opening) * filled[lv]) for lv in before})


def _adjustments(opening: list[Person], year: int, levers: Levers) -> dict[str, Decimal]:
    """Return pay after the adjustments of January 1, by id."""

    def bound(person: Person, which: int) -> Decimal:
        return cents(Fraction(levers.band(person.job_level, year)[which]) * Fraction(person.fte))

    below = sorted(
        (p for p in opening if p.pay < bound(p, 0)),
        key=lambda p: (p.pay - bound(p, 0), p.employee_id),
    )
    count = math.floor(Fraction(str(levers.minimum_adjustment_share)) * len(below) + Fraction(1, 2))
    after = {p.employee_id: bound(p, 0) for p in below[:count]}
    gaps = {
        p.employee_id: max(Decimal(0), bound(p, 1) - after.get(p.employee_id, p.pay))
        for p in opening
    }
    payroll = sum(int(p.pay * 100) for p in opening)
    pool = min(math.floor(payroll * rate(levers.equity_pool)), int(sum(gaps.values()) * 100))
    for person in opening:
        gap = int(gaps[person.employee_id] * 100)
        added = gap * pool // int(sum(gaps.values()) * 100) if gap else 0
        if added:
            after[person.employee_id] = (
                after.get(person.employee_id, person.pay) + Decimal(added) / 100
            )
    return after


def _hire(
    weights: Mapping[int, int],
    hires: int,
    leaving: int,
    departments: Mapping[str, int],
    vacancies: Mapping[int, list[date]],
    year: int,
    levers: Levers,
) -> list[Person]:
    total = max(1, sum(weights.values()))
    quotas = {level: Fraction(hires * weights[level], total) for level in BANDS}
    counts = {level: math.floor(quota) for level, quota in quotas.items()}
    for level in sorted(BANDS, key=lambda lv: (-(quotas[lv] % 1), lv))[
        : hires - sum(counts.values())
    ]:
        counts[level] += 1
    levels = [level for level in BANDS for _ in range(counts[level])]
    days = 366 if isleap(year) else 365
    hired: list[Person] = []
    open_days = {level: list(found) for level, found in vacancies.items()}
    for number, level in enumerate(levels, start=1):
        person = Person(
            f"NH_{year}_{number:06d}", date(1900, 1, 1), date(1900, 1, 1), level, Decimal(0), None
        )
        person.hire_date = date(year, 1, 1) + timedelta(int(person.draw("hire_day", year) * days))
        if open_days.get(level):
            person.hire_date = open_days[level].pop(0)
        person.status = "new_hire_active"
        if departments:
            seats = [name for name in sorted(departments) for _ in range(departments[name])]
            person.department = seats[int(person.draw("hire_department", year) * len(seats))]
        bottom, _, top = (Fraction(pay) for pay in levers.band(level, year))
        base = (bottom + (top - bottom) * Fraction(HIRE_PERCENTILE[level])) * Fraction(
            HIRE_MARKET[level]
        )
        base = Fraction(math.floor(base * 10**6 + Fraction(1, 2)), 10**6)
        spread = 1 + 0.1 * (person.draw("hire_pay", year) - 0.5)
        person.pay = cents(base * rate(levers.new_hire_salary_adjustment * spread))
        hired.append(person)
    eligible = [p for p in hired if p.hire_date.month < 12]
    assert len(eligible) >= leaving, "the oracle does not move hire days"
    for person in sorted(eligible, key=lambda p: (p.draw("hire_termination", year), p.employee_id))[
        :leaving
    ]:
        window = (date(year, 12, 31) - person.hire_date).days - 30 + 1
        person.termination_date = person.hire_date + timedelta(
            30 + int(person.draw("hire_departure_day", year) * window)
        )
        is_dismissed = _is_dismissed(person, year, levers)
        person.status = "new_hire_dismissal" if is_dismissed else "new_hire_termination"
    for person in hired:
        threshold, age = 0, 0
        ages = HIRE_AGES if levers.new_hire_ages == "company" else LEVEL_HIRE_AGES[person.job_level]
        for age, weight in ages:  # noqa: B007
            threshold += weight * 100
            if math.floor(person.draw("hire_age", year) * 10_000) < threshold:
                break
        born_year = person.hire_date.year - age
        day = person.hire_date.day
        if (person.hire_date.month, day) == (2, 29) and not isleap(born_year):
            day = 28
        person.birth_date = date(born_year, person.hire_date.month, day) - timedelta(
            int(person.draw("hire_birthday", year) * 365)
        )
    return hired


def _work_part_time(
    hired: list[Person], census_ftes: Sequence[tuple[int, Decimal]], year: int
) -> None:
    for person in hired:
        level = person.job_level
        like = [fte for at, fte in census_ftes if at == level] or [fte for _, fte in census_ftes]
        person.fte = sorted(like)[int(person.draw("hire_fte", year) * len(like))]
        person.pay = cents(Fraction(person.pay) * Fraction(person.fte))


def _promoted(opening: list[Person], year: int, levers: Levers) -> set[str]:
    """Return the ids of who is promoted on February 1."""
    promoted = set()
    for person in opening:
        tenure = person.full_years(person.hire_date, year)
        age = person.full_years(person.birth_date, year)
        chance = min(
            1.0, 0.04 * levers.promotion_rate_multiplier * float(person.multipliers(year)[1])
        )
        is_eligible = tenure >= 1 and age < 65 and person.job_level < 5
        if is_eligible and person.employed_on(date(year, 2, 1)):
            if person.draw("promotion", year) < chance:
                promoted.add(person.employee_id)
    return promoted


def _merit_share(person: Person, year: int, levers: Levers) -> Fraction:
    """Return the part of a full year's merit that service gives, in ten-thousandths."""
    if levers.raise_cutoff_month is None or person.hire_date < date(year - 1, 1, 1):
        return Fraction(1)
    if person.hire_date >= date(year - 1, levers.raise_cutoff_month, 1):
        return Fraction(0)
    worked = (date(year, 1, 1) - person.hire_date).days
    return Fraction(10_000 * worked // (366 if isleap(year - 1) else 365), 10_000)


def _matrix(person: Person, pay: Decimal, level: int, year: int, levers: Levers) -> Fraction:
    """Return the multiplier of rating and place in the band."""
    if levers.merit_matrix == "off":
        return Fraction(1)
    rating = person.rating if person.rating in RATINGS else None
    if rating is None:
        slot, threshold = math.floor(person.draw("rating", year) * 10_000), 0
        for rating, share in RATINGS.items():  # noqa: B007
            threshold += share * 100
            if slot < threshold:
                break
    low, _, high = levers.band(level, year)
    low, high = (cents(Fraction(bound) * Fraction(person.fte)) for bound in (low, high))
    if pay < low:
        place = 0
    elif pay > high:
        place = 4
    else:
        place = 1 + min(2, math.floor(3 * Fraction(pay - low) / Fraction(high - low)))
    return Fraction(MATRIX[rating][place])


def _promote_and_raise(
    opening: list[Person],
    year: int,
    levers: Levers,
    promoted: set[str],
    adjustments: Mapping[str, Decimal],
) -> None:
    promotion_day = date(year, 2, 1)
    raised = {}
    for person in opening:
        if person.employee_id in adjustments:
            new_pay = adjustments[person.employee_id]
            person.changes.append((date(year, 1, 1), new_pay - person.pay))
            person.pay = new_pay
        is_eligible = person.full_years(person.hire_date, year) >= 1
        day = _raise_day(person, year, levers)
        if (is_eligible or levers.raise_cutoff_month is not None) and person.employed_on(day):
            raised[person.employee_id] = day

    everyone = {p.employee_id: p for p in opening}
    before = [n for n, day in raised.items() if day < promotion_day]
    after = [n for n in raised if n not in set(before)]
    # The budget weighs pay as it stands just before each raise, so it needs the promotions of
    # people who are raised later; those do not depend on any merit.
    payroll, merit_payroll, factors = Fraction(0), Fraction(0), {}
    for name in raised:
        person = everyone[name]
        is_promoted = name in promoted and name not in set(before)
        pay = _promoted_pay(person, year, levers) if is_promoted else person.pay
        level = person.job_level + is_promoted
        factors[name] = _merit_share(person, year, levers) * _matrix(
            person, pay, level, year, levers
        )
        payroll += Fraction(pay)
        merit_payroll += Fraction(pay) * factors[name] * rate(levers.merit(level))
    scale = 1.0
    if levers.merit_budget is not None:
        scale = levers.merit_budget / float(merit_payroll / payroll)

    for name in before:
        _raise(everyone[name], raised[name], scale * float(factors[name]), levers)
    for name in sorted(promoted):
        person = everyone[name]
        new_pay = _promoted_pay(person, year, levers)
        person.changes.append((promotion_day, new_pay - person.pay))
        person.pay, person.job_level, person.promotion_date = (
            new_pay,
            person.job_level + 1,
            promotion_day,
        )
    for name in after:
        _raise(everyone[name], raised[name], scale * float(factors[name]), levers)


def _raise_day(person: Person, year: int, levers: Levers) -> date:
    timing = levers.raise_timing
    if timing == "january":
        return date(year, 1, 1)
    if timing == "july":
        return date(year, 7, 15)
    if timing == "anniversary":
        month, day = person.hire_date.month, person.hire_date.day
        return date(year, month, 28 if (month, day) == (2, 29) and not isleap(year) else day)
    drawn_for = year if levers.raise_month == "yearly" else 0
    slot, threshold = math.floor(person.draw("raise_month", drawn_for) * 10_000), 0
    for month, share in enumerate(RAISE_MONTHS, start=1):
        threshold += share * 100
        if slot < threshold:
            return date(year, month, 1)
    raise AssertionError("the shares of the months sum to 1")


def _promoted_pay(person: Person, year: int, levers: Levers) -> Decimal:
    increase = rate(levers.promotion_raise + (person.draw("promotion_raise", year) - 0.5) * 0.1)
    pay = Fraction(person.pay)
    minimum = cents(Fraction(levers.band(person.job_level + 1, year)[0]) * Fraction(person.fte))
    wanted = max(pay * (1 + increase), Fraction(minimum))
    return cents(min(wanted, pay * Fraction(13, 10), pay + 500_000))


def _raise(person: Person, day: date, scale: float, levers: Levers) -> None:
    pay = Fraction(person.pay)
    increase = rate(levers.merit(person.job_level) * scale + levers.cola_rate)
    new_pay = cents(min(pay * (1 + increase), pay * Fraction(3, 2), pay + 250_000))
    if levers.raise_band_cap == "maximum":
        top = Fraction(levers.band(person.job_level, day.year)[2]) * Fraction(person.fte)
        capped = min(new_pay, max(person.pay, cents(top)))
        person.lump_sum, new_pay = new_pay - capped, capped
    person.changes.append((day, new_pay - person.pay))
    person.pay, person.raise_date = new_pay, day


def _paid(person: Person, first: date, last: date, days: int) -> Decimal:
    """Sum pay x days over the periods between changes."""
    rate_of_pay = Fraction(person.opening_pay if person.opening_pay is not None else person.pay)
    total, start = Fraction(0), first
    for day, increase in sorted(person.changes, key=lambda change: change[0]):
        total += rate_of_pay * (day - start).days
        rate_of_pay, start = rate_of_pay + Fraction(increase), day
    total += rate_of_pay * ((last - start).days + 1)
    return cents(total / days).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
