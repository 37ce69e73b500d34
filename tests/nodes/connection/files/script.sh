#!/bin/sh
echo "script $1 on $(hostname)"
echo oops >&2
exit 4
