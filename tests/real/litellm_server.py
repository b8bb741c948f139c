"""LiteLLM's proxy, with models that answer by themselves (mock_response), so that it needs no network, and a callback that notes whom
it charges for each answer."""

import json
import shutil
import tempfile
from pathlib import Path

from program import Program, listens
from server import ROOT, free_port

PROGRAM = ROOT / ".build" / "litellm" / "venv" / "bin" / "litellm"

# m is what tests/clients ask for. Nobody listens at the base, should an answer not be mocked.
CONFIG = """model_list:
- model_name: m
  litellm_params: {model: openai/m, api_key: unused, api_base: "http://127.0.0.1:9/v1", mock_response: hello from m}
- model_name: meta-llama/Llama-3
  litellm_params: {model: openai/llama, api_key: unused, api_base: "http://127.0.0.1:9/v1", mock_response: hello from llama}
- model_name: meta-llama/broken
  litellm_params: {model: openai/broken, api_key: unused, api_base: "http://127.0.0.1:9/v1"}
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
litellm_settings:
  callbacks: charged.note
"""

CALLBACK = """import json
from pathlib import Path
from litellm.integrations.custom_logger import CustomLogger

class Note(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        said = kwargs["standard_logging_object"]
        with open(Path(__file__).with_name("charged.txt"), "a") as file:
            file.write(json.dumps([said["end_user"], said["model_group"]]) + "\\n")

note = Note()
"""


class LiteLlm:
    def __init__(self, master_key):
        assert PROGRAM.exists(), f"{PROGRAM} is missing: make -f Makefile.apxs test-real"
        self.root, self.port = Path(tempfile.mkdtemp(prefix="la-litellm-")), free_port()
        (self.root / "config.yaml").write_text(CONFIG)
        (self.root / "charged.py").write_text(CALLBACK)
        command = [PROGRAM, "--config", "config.yaml", "--host", "127.0.0.1", "--port", self.port, "--telemetry", "False"]
        self.program = Program(self.root, "litellm", command, lambda program: listens(self.port), {
            "LITELLM_MASTER_KEY": master_key, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_BLOG_POSTS": "True"})

    def use_master_key(self, key):
        """Starts it again with another master key."""
        self.program.env["LITELLM_MASTER_KEY"] = key
        self.program.restart()

    def charged(self):
        """Whom it charged, and for which model: pairs, in order."""
        path = self.root / "charged.txt"
        return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []

    def stop(self):
        self.program.stop()
        shutil.rmtree(self.root, ignore_errors=True)
