"""What the columns of the made tables are called, by what they hold."""

import numpy as np

Random = np.random.Generator

PLAIN = {
    "when": ("date", "timestamp", "ds", "datetime", "time"),
    "y": ("sales", "value", "y", "demand", "revenue"),
    "store": ("store", "sensor", "unique_id", "site"),
    "sku": ("sku", "item", "product"),
    "price": ("price", "promo"),
}
GERMAN = {
    "when": ("Datum", "Zeit", "Zeitstempel"),
    "date": ("Datum",),
    "time": ("Uhrzeit",),
    "hour": ("Stunde",),
    "year": ("Jahr",),
    "month": ("Monat",),
    "day": ("Tag",),
    "quarter": ("Quartal",),
    "week": ("Woche",),
    "step": ("Schritt",),
    "y": ("Erlös", "Stück"),
    "store": ("Filiale", "Kunde"),
    "sku": ("Artikel",),
    "temperature": ("Temperatur",),
    "weather": ("Wetter",),
    "price": ("Preis",),
    "region": ("Region",),
    "size": ("Fläche",),
    "currency": ("Währung",),
    "notes": ("Bemerkung",),
}
TITLES = {
    "when": ("Order Date", "Time Stamp"),
    "y": ("Units Sold", "Total Sales", "kWh"),
    "store": ("Store ID", "Store Name"),
    "sku": ("Item Number",),
    "notes": ("Free Text",),
}


def name_of(kind: str, style: str, random: Random, taken: list[str]) -> str:
    """Return the name of a column that holds `kind`, other than those taken."""
    if style == "of no meaning" and kind in MEANINGLESS:
        return f"c{len(taken)}"
    pool = {"German": GERMAN, "capitals and blanks": TITLES}.get(style, PLAIN)
    names = pool.get(kind, PLAIN.get(kind, (kind,)))
    if style == "capitals and blanks":
        names = tuple(
            name if name[0].isupper() or name == "kWh" else name.title() for name in names
        )
    free = [name for name in names if name not in taken]
    return free[int(random.integers(len(free)))]


# A covariate without a name of its own could as well be the target.
MEANINGLESS = ("when", "y", "store", "sku", "date", "time", "quarter", "week", "step")
