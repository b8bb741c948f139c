"""The fixtures and helpers of tests/http, for servers as people install them."""

import importlib.util
import sys
from pathlib import Path

HTTP = Path(__file__).resolve().parents[1] / "http"
sys.path.insert(0, str(HTTP))
_spec = importlib.util.spec_from_file_location("http_conftest", HTTP / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({name: value for name, value in vars(_module).items() if not name.startswith("__")})
