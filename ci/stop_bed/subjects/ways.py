"""The ways in which workloads are handed to Portcullis."""

from .through_services import ThroughServices
from .through_upstream import ThroughUpstream

ALL = {way.name: way for way in (ThroughUpstream, ThroughServices)}
