"""A `claude` that misbehaves on command: a process between the gateway and the real CLI that reads every frame.

Run it as `python -I -S misbehaving_cli.py CLAIMS CLAUDE ARGUMENT…`. A command is part of a text that passes through, as
``[[ACT STATE COUNT TOKEN]]``. The first process that creates the file TOKEN in the directory CLAIMS carries the command
out; no other process does. A file `start-TOKEN` in that directory holds an act for the next process that starts, and a
file `switch-TOKEN` holds one for the next process that receives a change of its model.

A fault in REPLYING follows COUNT events of the reply, a fault in IDLE follows the end of the reply, and a fault in
INTERRUPTING, CLEARING or REPLAYING comes with the gateway's request for that step. The gateway requests CLEARING only
if a rewind fails, so from that command on the process refuses to rewind.
"""

import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

_COMMAND = re.compile(rb"\[\[(\w+) (\w+) (\d+) ([\w-]+)\]\]")
_PR_SET_PDEATHSIG = 1
_BALLAST_BYTES = 260 * 1024 * 1024


class MisbehavingCli:
    def __init__(self, claims_dir: Path, argv: list[str]) -> None:
        self._claims_dir = claims_dir
        libc = ctypes.CDLL(None)
        self._child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        )
        self._armed_action, self._armed_state, self._armed_event_count = b"", b"", 0
        self._ballast = b""

    def run(self) -> None:
        if action := self._claim_action("start"):
            self._perform(action)
        threading.Thread(target=self._forward_output, daemon=True).start()
        for line in sys.stdin.buffer:
            self._handle_input(line)
        self._child.stdin.close()
        self._child.wait()

    def _claim_action(self, moment: str) -> bytes:
        for path in self._claims_dir.glob(f"{moment}-*"):
            try:
                action = path.read_bytes()
                path.unlink()
            except FileNotFoundError:
                continue  # another process claimed it
            return action
        return b""

    def _handle_input(self, line: bytes) -> None:
        frame = json.loads(line)
        if frame["type"] == "user":
            self._arm(line)
            state = b"REPLAYING" if frame.get("shouldQuery") is False else b"REPLYING"
            if frame["message"]["content"] == "/clear":
                state = b"CLEARING"
            if self._armed_state == state and not self._armed_event_count:
                self._perform(self._disarm())
        elif frame["type"] == "control_request":
            subtype = frame["request"]["subtype"]
            if subtype == "interrupt" and self._armed_state == b"INTERRUPTING":
                self._perform(self._disarm())
            elif subtype == "apply_flag_settings" and "model" in frame["request"]["settings"]:
                self._perform(self._claim_action("switch"))
            elif subtype == "rewind_conversation" and self._armed_state == b"CLEARING":
                self._write_frame(
                    {"type": "control_response", "response": _rewind_refused_response(frame["request_id"])}
                )
                return
        self._child.stdin.write(line)
        self._child.stdin.flush()

    def _arm(self, line: bytes) -> None:
        for action, state, count, token in _COMMAND.findall(line):
            try:
                (self._claims_dir / token.decode()).touch(exist_ok=False)
            except FileExistsError:
                continue
            self._armed_action, self._armed_state, self._armed_event_count = action, state, int(count)

    def _disarm(self) -> bytes:
        action, self._armed_action, self._armed_state, self._armed_event_count = self._armed_action, b"", b"", 0
        return action

    def _forward_output(self) -> None:
        for line in self._child.stdout:
            if self._armed_state == b"REPLYING" and b'"stream_event"' in line:
                self._armed_event_count -= 1
                if self._armed_event_count <= 0:
                    self._perform(self._disarm())
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            if self._armed_state == b"IDLE" and b'"type":"result"' in line:
                self._perform(self._disarm())
        os._exit(self._child.wait() & 0xFF)

    def _perform(self, action: bytes) -> None:
        match action:
            case b"kill":
                os.killpg(0, signal.SIGKILL)
            case b"exit":
                self._child.kill()
                os._exit(0)
            case b"freeze":
                os.killpg(0, signal.SIGSTOP)
            case b"garbage":
                self._write(b"\x00\xff this is not JSON {{{\n")
            case b"babble":
                self._write_frame({"type": "result", "subtype": "success", "is_error": False})
                self._write_frame({"type": "result", "subtype": "success", "is_error": False})
            case b"shapeless":
                self._write(b'["an array"]\n')
            case b"noise":
                _write_stderr(b"noise " * 500_000)
            case b"swell":
                self._ballast = bytes(bytearray(_BALLAST_BYTES))

    def _write_frame(self, frame: dict) -> None:
        self._write(json.dumps(frame).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _write_stderr(data: bytes) -> None:
    """Write to stderr, a pipe shared with the CLI process, which may have made it non-blocking."""
    while data:
        try:
            data = data[os.write(2, data[:4096]) :]
        except BlockingIOError:
            select.select([], [2], [])


def _rewind_refused_response(request_id: str) -> dict:
    return {"subtype": "success", "request_id": request_id, "response": {"rewound": False}}


if __name__ == "__main__":
    MisbehavingCli(Path(sys.argv[1]), sys.argv[2:]).run()
