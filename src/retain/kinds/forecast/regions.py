"""Countries, and their subdivisions, whose holidays are known."""


def check_region(region: str) -> None:
    """Raise ValueError unless `region` is a country, or `COUNTRY-SUBDIVISION`, with holidays."""
    import holidays  # here: most problems need it not

    country, _, subdivision = region.partition("-")
    known = holidays.list_supported_countries()
    if country not in known:
        raise ValueError("expected an ISO country code such as US, or US-MN with a subdivision")
    if subdivision and subdivision not in known[country]:
        raise ValueError(
            f"no subdivision {subdivision!r}; {country} has {', '.join(known[country]) or 'none'}"
        )
