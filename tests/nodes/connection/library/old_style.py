#!/usr/bin/python
import json
import os
import sys

with open(sys.argv[1]) as file:
    given = file.read()
print(json.dumps({"changed": False, "given": given, "hostname": os.uname()[1]}))
