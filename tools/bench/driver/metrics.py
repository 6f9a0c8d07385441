"""What servers say of themselves over HTTP: Prometheus text."""

import re
import urllib.request


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def value(text, name):
    """The sum of a metric's values, whatever their labels; None if it is not there."""
    values = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line)]
    return sum(values) if values else None


def total(addresses, name):
    """Of the nodes at these HTTP addresses; None if one does not say."""
    values = [value(fetch(address + "/metrics"), name) for address in addresses]
    return None if None in values else sum(values)
