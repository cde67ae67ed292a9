"""A `claude` that misbehaves on command: the real one behind a process that reads along.

Run as `python -I -S misbehaving_cli.py CLAIMS CLAUDE ARGUMENT…`. Commands stand in the texts that go through, as
``[[ACT STATE COUNT TOKEN]]``, and each is carried out once: who makes the file TOKEN in the directory CLAIMS does it. A
file `boot-TOKEN` there, with an act in it, is a command to the next process that starts, one `switch-TOKEN` to the next
that is to change its model.

States are those of `workers.protocol`. A fault of ANSWERING comes after COUNT events of the answer; one of IDLE behind
the answer's end; one of STOPPING, CLEARING or LOADING when the gateway asks for that. To see it ask for CLEARING, the
process refuses to cut its conversation from the command on.
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


class Misbehaving:
    def __init__(self, claims: Path, argv: list[str]) -> None:
        self._claims = claims
        libc = ctypes.CDLL(None)
        self._child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        )
        self._act, self._state, self._count = b"", b"", 0
        self._ballast = b""

    def run(self) -> None:
        if act := self._claimed("boot"):
            self._do(act)
        threading.Thread(target=self._outward, daemon=True).start()
        for line in sys.stdin.buffer:
            self._inward(line)
        self._child.stdin.close()
        self._child.wait()

    def _claimed(self, moment: str) -> bytes:
        for path in self._claims.glob(f"{moment}-*"):
            try:
                act = path.read_bytes()
                path.unlink()
            except FileNotFoundError:
                continue  # somebody else's
            return act
        return b""

    def _inward(self, line: bytes) -> None:
        frame = json.loads(line)
        if frame["type"] == "user":
            self._arm(line)
            state = b"LOADING" if frame.get("shouldQuery") is False else b"ANSWERING"
            if frame["message"]["content"] == "/clear":
                state = b"CLEARING"
            if self._state == state and not self._count:
                self._do(self._disarm())
        elif frame["type"] == "control_request":
            subtype = frame["request"]["subtype"]
            if subtype == "interrupt" and self._state == b"STOPPING":
                self._do(self._disarm())
            elif subtype == "apply_flag_settings" and "model" in frame["request"]["settings"]:
                self._do(self._claimed("switch"))
            elif subtype == "rewind_conversation" and self._state == b"CLEARING":
                self._say({"type": "control_response", "response": _not_cut(frame["request_id"])})
                return
        self._child.stdin.write(line)
        self._child.stdin.flush()

    def _arm(self, line: bytes) -> None:
        for act, state, count, token in _COMMAND.findall(line):
            try:
                (self._claims / token.decode()).touch(exist_ok=False)
            except FileExistsError:
                continue
            self._act, self._state, self._count = act, state, int(count)

    def _disarm(self) -> bytes:
        act, self._act, self._state, self._count = self._act, b"", b"", 0
        return act

    def _outward(self) -> None:
        for line in self._child.stdout:
            if self._state == b"ANSWERING" and b'"stream_event"' in line:
                self._count -= 1
                if self._count <= 0:
                    self._do(self._disarm())
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            if self._state == b"IDLE" and b'"type":"result"' in line:
                self._do(self._disarm())
        os._exit(self._child.wait() & 0xFF)

    def _do(self, act: bytes) -> None:
        match act:
            case b"kill":
                os.killpg(0, signal.SIGKILL)
            case b"exit":
                self._child.kill()
                os._exit(0)
            case b"freeze":
                os.killpg(0, signal.SIGSTOP)
            case b"garbage":
                self._write(b"\x00\xff this is no JSON {{{\n")
            case b"babble":
                self._say({"type": "result", "subtype": "success", "is_error": False})
                self._say({"type": "result", "subtype": "success", "is_error": False})
            case b"shapeless":
                self._write(b'["an array"]\n')
            case b"noise":
                _shout(b"noise " * 500_000)
            case b"swell":
                self._ballast = bytes(bytearray(_BALLAST_BYTES))

    def _say(self, frame: dict) -> None:
        self._write(json.dumps(frame).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _shout(data: bytes) -> None:
    """To stderr, which the process behind shares, and may have set to refuse what does not fit."""
    while data:
        try:
            data = data[os.write(2, data[:4096]) :]
        except BlockingIOError:
            select.select([], [2], [])


def _not_cut(request_id: str) -> dict:
    return {"subtype": "success", "request_id": request_id, "response": {"rewound": False}}


if __name__ == "__main__":
    Misbehaving(Path(sys.argv[1]), sys.argv[2:]).run()
