"""python company.py SYSTEM KNOB=VALUE turns a knob of a system; without a knob, prints what the system counted."""

import json
import sys
from pathlib import Path

import httpx

system, *knobs = sys.argv[1:]
admin = json.loads(Path("practice/practice.json").read_text())["systems"][system]["admin"]
headers = {admin["header"]: admin["token"]}
if knobs:
    values = {name: json.loads(value) for name, value in (knob.split("=") for knob in knobs)}
    httpx.put(admin["knobs"], headers=headers, json=values).raise_for_status()
else:
    for kind, counted in httpx.get(admin["stats"], headers=headers).json()["writes"].items():
        print(f"{kind} in {system}: {counted['created']}, of which {counted['duplicates']} doubled")
