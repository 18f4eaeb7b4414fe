"""A small web application with every flow of authsql. README.md beside this file says how to run it."""

from __future__ import annotations
