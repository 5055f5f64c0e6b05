"""Zone sources: octoDNS YAML and RFC 1035 master files, read into model values and written back."""

from geodns.zonefile.octodns_yaml import write_yaml
from geodns.zonefile.reading import ReadZone, find_zone_sources, finish_zone, parse_zone_text, read_zone, unusable_sources, zone_of
from geodns.zonefile.source import Progress
from geodns.zonefile.writer import write_zone

__all__ = [
    "Progress",
    "ReadZone",
    "find_zone_sources",
    "finish_zone",
    "parse_zone_text",
    "read_zone",
    "unusable_sources",
    "write_yaml",
    "write_zone",
    "zone_of",
]
