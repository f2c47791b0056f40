"""Make the development certificates without starting the demo: python certs-dev/make.py [DIR]."""

import datetime
import sys
from pathlib import Path

from gateway.demo.cast import CERTIFICATES
from pki.development import make_development_pki

__all__: list[str] = []

directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
made = make_development_pki(directory, datetime.datetime.now(datetime.UTC), charge_points=CERTIFICATES)
print(f"{'made' if made else 'still valid'}: {directory}")  # noqa: T201
